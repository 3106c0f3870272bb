"""Fine-tuning: epochs of train steps, each with its validation, and the weights of the one that is kept."""

from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from benchmark.augmentation.augment import Augmentation
from benchmark.data.loader import batches, count_batches
from benchmark.data.samples import Dataset
from benchmark.evaluator import evaluate
from benchmark.metrics.collapse import Collapse, find_collapse
from benchmark.metrics.iou import miou
from benchmark.results.schema import Training
from benchmark.results.store import NOT_COLLAPSED
from experiments.runs import TrainedRun
from experiments.settings import ExperimentConfig
from experiments.training.step import TrainStep
from models.rsrefseg import RSRefSeg

LOG_EVERY = 10  # steps that one line of curve.csv averages
ADVICE = {  # what to try first, by kind of collapse (benchmark/metrics/collapse.py)
    "empty": "less train.loss.bce beside train.loss.dice (small objects make empty masks cheap)",
    "full": "a lower train.lr, a longer train.warmup_epochs",
    "constant": "a longer train.warmup_epochs, more train.epochs; look whether the variant reads its text",
}
COLUMNS = (
    TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
)  # fmt: skip


@dataclass
class History:
    """What a training has seen so far: the lines of curve.csv, and the epoch to keep with its weights."""

    curve: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0
    warned: bool = False
    best_value: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)

    def note(
        self,
        epoch: int,
        loss: float | None,
        lr: float | None,
        val_miou: float | None = None,
        collapsed: str | None = None,
    ) -> None:
        """Add a line to the curve."""
        line = {"epoch": epoch, "step": self.step, "loss": loss, "lr": lr}
        self.curve.append({**line, "val_miou": val_miou, "collapsed": collapsed})


def fit(
    model: RSRefSeg,
    dataset: Dataset,
    config: ExperimentConfig,
    accelerator: Accelerator,
    console: Console,
    workers: int = 0,
) -> TrainedRun:
    """Train `model` in place for all epochs; `workers` threads decode images ahead.

    Returns:
        The run: the weights of the epoch that `train.select` names, curve and costs.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    settings, started = config.train, time.perf_counter()
    per_epoch = count_batches(dataset, "train", settings.batch_size, settings.step_of)
    step, history = TrainStep(model, settings, per_epoch, accelerator), History()
    augment = Augmentation(settings.augment) if settings.augment else None
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(config.variant, total=settings.epochs * per_epoch)
        for epoch in range(1, settings.epochs + 1):
            step.model.train()
            recent: list[float] = []
            for batch in batches(
                dataset, "train", settings.batch_size, of=settings.step_of, shuffle=(config.seed, epoch),
                expressions_per_image=settings.expressions_per_image, augment=augment, workers=workers,
            ):  # fmt: skip
                lr, loss = step.lr, step.loss(batch)
                history.step += 1
                recent.append(loss.item())
                if not math.isfinite(recent[-1]):
                    raise FloatingPointError(
                        f"the loss is {recent[-1]} at step {history.step} (lr {lr:.3g}, samples "
                        f"{', '.join(batch.sample_ids)}); lower train.lr or look at these samples"
                    )
                step.update(loss)
                said = f"{config.variant} epoch {epoch}/{settings.epochs} loss {recent[-1]:.3f}"
                progress.update(task, advance=1, description=said)
                if history.step % LOG_EVERY == 0:
                    history.note(epoch, sum(recent) / len(recent), lr)
                    recent.clear()
            collapse = _validate(model, dataset, config, epoch, history, workers)
            said = f", collapsed: {collapse.title}" if collapse else ""
            console.print(f"{config.variant} epoch {epoch}: val mIoU {history.curve[-1]['val_miou']:.4f}{said}")
            if collapse and not history.warned:
                console.print(collapse_warning(collapse, epoch, settings.epochs), style="bold yellow", highlight=False)
                history.warned = True
    return TrainedRun(
        config=config,
        state=history.best_state,
        curve=pd.DataFrame(history.curve),
        training=Training(
            epochs=settings.epochs,
            steps=history.step,
            seconds=time.perf_counter() - started,
            selection_metric="miou" if settings.select == "best" else None,
            selection_split="val" if settings.select == "best" else None,
            best_epoch=history.best_epoch,
            best_value=history.best_value,
            parameters_total=sum(parameter.numel() for parameter in model.parameters()),
            parameters_trained=sum(parameter.numel() for parameter in step.trained),
            peak_memory_mb=peak_memory_mb(),
        ),
    )


def _validate(
    model: RSRefSeg, dataset: Dataset, config: ExperimentConfig, epoch: int, history: History, workers: int
) -> Collapse | None:
    """Validation mIoU at the end of an epoch; keeps the weights if it is the best so far, or if the last is wanted.

    Returns:
        How the predictions collapsed, if they did. It decides nothing.
    """
    model.eval()
    measured = evaluate(model, dataset, "val", batch_images=config.train.batch_size, workers=workers)
    value, collapse = miou(measured.lines), find_collapse(measured.lines, measured.masks)
    last = history.curve[-1] if history.curve else {"loss": None, "lr": None}
    history.note(epoch, last["loss"], last["lr"], round(value, 6), collapse.kind if collapse else NOT_COLLAPSED)
    if value > history.best_value or config.train.select == "last":
        history.best_value, history.best_epoch = value, epoch
        history.best_state = {name: tensor.detach().clone() for name, tensor in model.trained_state().items()}
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
