"""Run a configuration for real, on random weights: seconds and peak memory of this process.

The peak is what the process held, not what was alive in it (estimate.py): the C library's allocator keeps
pieces of freed memory, 2 GB of them in a training step of rsrefseg-b on a CPU. MALLOC_MMAP_THRESHOLD_=1048576 in the
environment makes glibc give them back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator

from experiments.cost.random_weights import build, forward, make_batch
from experiments.settings import TrainConfig
from experiments.training.loop import peak_memory_mb
from experiments.training.step import TrainStep
from models.config import Part

Work = Literal["forward", "step"]


@dataclass(frozen=True)
class Timing:
    """seconds: of each run, after one that is not counted · peak_memory_mb: the most that this process (on a GPU: its
    tensors) has held since its start · device, threads: where."""

    work: Work
    seconds: list[float]
    peak_memory_mb: float
    device: str
    threads: int

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)


def measure(config: Part, settings: TrainConfig, work: Work, images: int, expressions: int, repeats: int) -> Timing:
    """A forward as for a prediction, or whole training steps; `expressions` is of all images together.

    Peak memory is the process's: measure once in a process, before anything else that is large.
    """
    accelerator = Accelerator()
    device = accelerator.device
    model = build(config).to(device).train(work == "step")
    batch = make_batch(model.input_side, images, expressions)
    step = TrainStep(model, settings, 1, accelerator)

    def run() -> None:
        if work == "step":
            step.update(step.loss(batch))
        else:
            forward(model, batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    run()
    seconds = [_timed(run) for _ in range(repeats)]
    return Timing(work, seconds, peak_memory_mb(), str(device), torch.get_num_threads())


def _timed(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
