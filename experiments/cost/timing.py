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

from experiments.config import TrainConfig
from experiments.cost.random_weights import build, forward, make_batch, make_optimizer, training_step
from experiments.train import peak_memory_mb
from models.config import ModelConfig

Work = Literal["forward", "step"]


@dataclass(frozen=True)
class Measured:
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


def measure(
    config: ModelConfig, settings: TrainConfig, work: Work, images: int, expressions: int, repeats: int
) -> Measured:
    """A forward as for a prediction, or whole training steps; `expressions` is of all images together.

    Peak memory is the process's: measure once in a process, before anything else that is large.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(config).to(device).train(work == "step")
    batch = make_batch(config.sam.image_side, images, expressions)
    optimizer = make_optimizer(model, settings)

    def run() -> None:
        if work == "step":
            training_step(model, optimizer, batch, settings)
        else:
            forward(model, batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    run()
    seconds = [_timed(run) for _ in range(repeats)]
    return Measured(work, seconds, peak_memory_mb(), str(device), torch.get_num_threads())


def _timed(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
