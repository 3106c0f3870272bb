"""Fine-tuning: epochs of train steps, each with its validation, and the weights of the one that is kept."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import pandas as pd
import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmark.augmentation.augment import Augmentation
from benchmark.data.loader import Batch, batches, count_batches
from benchmark.data.samples import Dataset
from benchmark.evaluator import Share, evaluate
from benchmark.metrics.collapse import Collapse, find_collapse
from benchmark.metrics.iou import miou
from benchmark.results.schema import Training
from benchmark.results.store import NOT_COLLAPSED
from experiments.live.stream import Stream
from experiments.ranks import Ranks
from experiments.runs import TrainedRun
from experiments.settings import ExperimentConfig
from experiments.training.feed import Feed
from experiments.training.history import History
from experiments.training.state import Keeper
from experiments.training.step import TrainStep
from models.system import System

LOG_EVERY = 10  # steps that one line of curve.csv averages
ADVICE = {  # what to try first, by kind of collapse (benchmark/metrics/collapse.py)
    "empty": "less train.loss.bce beside train.loss.dice (small objects make empty masks cheap)",
    "full": "a lower train.lr, a longer train.warmup_epochs",
    "constant": "a longer train.warmup_epochs, more train.epochs; look whether the variant reads its text",
}
COLUMNS = (
    TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
)  # fmt: skip


def fit(
    model: System,
    dataset: Dataset,
    config: ExperimentConfig,
    accelerator: Accelerator,
    console: Console,
    workers: int = 0,
    keeper: Keeper | None = None,
    stream: Stream | None = None,
) -> TrainedRun:
    """Train `model` in place for all epochs; `workers` threads decode images ahead.

    Every rank of a training calls it, and learns from its share of each batch; all of them return the same run.

    With a `keeper` it goes on where that was stopped before; a `stream` is told of the curve as it grows.

    Returns:
        The run: the weights of the epoch that `train.select` names, curve and costs.

    Raises:
        FloatingPointError: the loss is not finite.
        Stopped, CheckpointError: as Keeper.pause().
    """
    settings, started = config.train, time.perf_counter()
    per_epoch = count_batches(dataset, "train", settings.batch_size, settings.step_of)
    step, history, ranks = TrainStep(model, settings, per_epoch, accelerator), History(), Ranks()
    if keeper is not None:
        keeper.restore(step, history)

    def pause() -> None:
        if stream is not None:
            stream.tell(history.curve)
        if keeper is not None:
            keeper.pause(step, history)

    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(config.variant, total=settings.epochs * per_epoch, completed=history.step)
        while history.epoch <= settings.epochs:
            epoch = history.epoch
            step.model.train()
            feed = Feed(_steps(dataset, config, epoch, history.done, workers, ranks))
            for parts in feed:
                lr = step.lr
                history.step, history.done = history.step + 1, history.done + 1
                history.recent.append(_learn(step, parts, history.step, ranks))
                said = f"{config.variant} epoch {epoch}/{settings.epochs} loss {history.recent[-1]:.3f}"
                progress.update(task, advance=1, description=said)
                if history.step % LOG_EVERY == 0:
                    history.note(epoch, sum(history.recent) / len(history.recent), lr)
                    history.recent.clear()
                pause()
            collapse = _validate(model, step, dataset, config, history, workers, pause, ranks)
            said = (f", collapsed: {collapse.title}" if collapse else "") + feed.said()
            console.print(f"{config.variant} epoch {epoch}: val mIoU {history.curve[-1]['val_miou']:.4f}{said}")
            if collapse and not history.warned:
                console.print(collapse_warning(collapse, epoch, settings.epochs), style="bold yellow", highlight=False)
                history.warned = True
            history.next_epoch()
            pause()
    return TrainedRun(
        config=config,
        state=history.best_state,
        curve=pd.DataFrame(history.curve),
        training=Training(
            epochs=settings.epochs,
            steps=history.step,
            seconds=history.seconds + time.perf_counter() - started,
            selection_metric="miou" if settings.select == "best" else None,
            selection_split="val" if settings.select == "best" else None,
            best_epoch=history.best_epoch,
            best_value=history.best_value,
            parameters_total=sum(parameter.numel() for parameter in model.parameters()),
            parameters_trained=sum(parameter.numel() for parameter in step.trained),
            peak_memory_mb=peak_memory_mb(),
        ),
    )


def _steps(
    dataset: Dataset, config: ExperimentConfig, epoch: int, done: int, workers: int, ranks: Ranks
) -> Iterator[tuple[Batch, ...]]:
    """What this rank learns from in each step of an epoch that is not done, in parts.

    A part takes the same of a batch however many ranks there are: it is what norms count over.
    """
    settings = config.train
    parts = settings.gradient_accumulation
    read = partial(
        batches,
        dataset,
        "train",
        settings.batch_size,
        of=settings.step_of,
        shuffle=(config.seed, epoch),
        expressions_per_image=settings.expressions_per_image,
        augment=Augmentation(settings.augment) if settings.augment else None,
        workers=-(-workers // parts),
        only=slice(done, None),
    )
    return zip(*(read(share=(part + parts * ranks.rank, parts * ranks.of)) for part in range(parts)), strict=True)


def _learn(step: TrainStep, parts: Sequence[Batch], number: int, ranks: Ranks) -> float:
    """One step; its loss, the mean over all samples that it has.

    Raises:
        FloatingPointError: the loss is not finite; nothing was learnt from it.
    """
    samples = ranks.total(*(0 if part.spare else len(part.texts) for part in parts))
    filled = [part for part, here in zip(parts, samples, strict=True) if here]  # an epoch's last batch may be small
    total, lr = 0.0, step.lr
    for place, part in enumerate(filled):
        loss = step.loss(part, sum(samples))
        total += ranks.total(loss.item())[0]
        if not math.isfinite(total):
            at_fault = ranks.gather([] if math.isfinite(loss.item()) else part.sample_ids)
            raise FloatingPointError(
                f"the loss is {total} at step {number} (lr {lr:.3g}, samples {', '.join(chain(*at_fault))}); lower "
                "train.lr or look at these samples"
            )
        step.update(loss, first=place == 0, last=place == len(filled) - 1)
    return total


def _validate(
    model: System,
    step: TrainStep,
    dataset: Dataset,
    config: ExperimentConfig,
    history: History,
    workers: int,
    pause: Callable[[], None],
    ranks: Ranks,
) -> Collapse | None:
    """Validation mIoU at the end of an epoch; keeps the weights if it is the best so far, or if the last is wanted.

    Returns:
        How the predictions collapsed, if they did. It decides nothing.
    """
    model.eval()
    measured = evaluate(
        model,
        dataset,
        "val",
        batch_images=config.train.batch_size // config.train.gradient_accumulation,
        workers=workers,
        progress=lambda done, total: pause(),
        share=Share(ranks.rank, ranks.of, ranks.gather, together=step.sharded),
    )
    value, collapse = miou(measured.lines), find_collapse(measured.lines, measured.masks)
    last = history.curve[-1] if history.curve else {"loss": None, "lr": None}
    history.note(history.epoch, last["loss"], last["lr"], round(value, 6), collapse.kind if collapse else NOT_COLLAPSED)
    if value > history.best_value or config.train.select == "last":
        history.best_value, history.best_epoch = value, history.epoch
        history.best_state = {name: tensor.detach().clone() for name, tensor in step.trained_state().items()}
    return collapse


def collapse_warning(collapse: Collapse, epoch: int, epochs: int) -> str:
    """What a validation shows, whether it may pass, and what to try."""
    left = epochs - epoch
    return (
        f"warning: the validation of epoch {epoch} has collapsed: {collapse.title} ({collapse.share:.1%}). "
        + (f"It may pass in the {left} epoch(s) left; if it stays, try " if left else "Try ")
        + f"{ADVICE[collapse.kind]}, or another seed. A run that ends so is marked in every table."
    )


def peak_memory_mb() -> float:
    """Largest memory this process has held: of the accelerator if there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
