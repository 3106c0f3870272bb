"""A train step of `mini`, forward to update, against the plain way: eager attention, an image encoded for each of its
expressions, texts padded per batch. Loss, optimiser and precision are the same."""

from __future__ import annotations

from collections.abc import Callable

from accelerate import Accelerator

from benchmark.data.loader import Batch
from benchmark.speed.reference import as_pairs
from experiments.repeatable import make_repeatable
from experiments.speed.inputs import configuration, counted, drawn, mini, plain_mini
from experiments.speed.limits import flops, share_of_matmul
from experiments.speed.pairs import Pair, in_turns
from experiments.training.loop import peak_memory_mb
from experiments.training.step import TrainStep
from models.rsrefseg import RSRefSeg

EXPRESSIONS = (1, 5)  # an image; 5 is what `mini` learns from
TURNS = 7


def measure() -> list[Pair]:
    """A step of params.yaml's batch, by expressions an image."""
    settings = configuration().train
    make_repeatable(0, settings.threads)
    pairs = []
    for expressions in EXPRESSIONS:
        batch = drawn(settings.batch_size, expressions)
        ours, plain = _step(mini(), batch), _step(plain_mini(), as_pairs(batch))
        work = flops(ours)
        reference, took, ratio = in_turns(plain, ours, TURNS)
        share, limit = share_of_matmul(work, took)
        case = f"mini, a step of {settings.batch_size} images x {counted(expressions)}"
        pairs.append(Pair("training", case, reference, took, ratio, share, limit, peak_mb=peak_memory_mb()))
    return pairs


def _step(model: RSRefSeg, batch: Batch) -> Callable[[], None]:
    accelerator = Accelerator()
    step = TrainStep(model.to(accelerator.device).train(), configuration().train, 1, accelerator)
    return lambda: step.update(step.loss(batch))
