"""Fine-tune one variant and keep its best epoch.

    python -m experiments.train --dataset synthetic --model mini --variant rsrefseg --seed 0

Reads data/<dataset>/ and weights/<model>/, writes runs/<dataset>/<model>/<variant>/<seed>/: model.safetensors (only
what trained), config.json, train.json and curve.csv. The best epoch is the one of highest validation mIoU, computed by
the function that reports it; the test split is not read here.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn.functional import interpolate

from benchmark.data.loader import Batch, batches, count_batches
from benchmark.data.samples import Dataset
from benchmark.evaluator import evaluate
from benchmark.metrics.iou import miou
from benchmark.results.store import Training
from experiments.config import (
    ConfigError,
    ExperimentConfig,
    LossConfig,
    TrainConfig,
    load_params,
    open_dataset,
    resolve,
)
from experiments.errors import clear_errors
from experiments.runs import Run, foundation_hashes, save_run
from experiments.training.losses import weighted_loss
from models.rsrefseg import RSRefSeg

LOG_EVERY = 10  # steps that one line of curve.csv averages


@dataclass
class Progression:
    """What a training has seen so far."""

    curve: list[dict[str, float | int | None]] = field(default_factory=list)
    best_value: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0


def fit(
    model: RSRefSeg,
    dataset: Dataset,
    config: ExperimentConfig,
    accelerator: Accelerator,
    console: Console,
    workers: int = 0,
) -> Run:
    """Train `model` in place for all epochs; `workers` threads decode images ahead.

    Returns:
        The run: best weights, curve and costs.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    settings, started = config.train, time.perf_counter()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    per_epoch = count_batches(dataset, "train", settings.batch_images)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_ratio(step, per_epoch, settings))
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    done = Progression()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(config.variant, total=settings.epochs * per_epoch)
        for epoch in range(1, settings.epochs + 1):
            wrapped.train()
            for losses in _steps(
                wrapped, optimizer, schedule, parameters, dataset, config, accelerator, epoch, done, workers
            ):  # fmt: skip
                progress.update(
                    task, advance=1, description=f"{config.variant} epoch {epoch}/{settings.epochs} loss {losses:.3f}"
                )
            _validate(model, dataset, config, epoch, done, workers)
            console.print(f"{config.variant} epoch {epoch}: val mIoU {done.curve[-1]['val_miou']:.4f}")
    return Run(
        config=config,
        state=done.best_state,
        curve=pd.DataFrame(done.curve),
        training=Training(
            epochs=settings.epochs,
            steps=done.step,
            seconds=time.perf_counter() - started,
            selection_metric="miou",
            selection_split="val",
            best_epoch=done.best_epoch,
            best_value=done.best_value,
            parameters_total=sum(parameter.numel() for parameter in model.parameters()),
            parameters_trained=sum(parameter.numel() for parameter in parameters),
            peak_memory_mb=peak_memory_mb(),
        ),
    )


def _steps(
    model: Any,
    optimizer: Any,
    schedule: Any,
    parameters: list[torch.nn.Parameter],
    dataset: Dataset,
    config: ExperimentConfig,
    accelerator: Accelerator,
    epoch: int,
    done: Progression,
    workers: int,
) -> Iterator[float]:
    """One epoch; yields the loss of each step and notes every LOG_EVERY-th mean in the curve."""
    settings, recent = config.train, []
    for batch in batches(
        dataset,
        "train",
        settings.batch_images,
        shuffle=(config.seed, epoch),
        expressions_per_image=settings.expressions_per_image,
        workers=workers,
    ):
        lr = optimizer.param_groups[0]["lr"]
        loss = batch_loss(model(batch.images, batch.texts, batch.image_index), batch, settings.loss)
        done.step += 1
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} at step {done.step} (lr {lr:.3g}, samples {', '.join(batch.sample_ids)}); "
                "lower train.lr or look at these samples"
            )
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        if settings.clip_norm is not None:
            accelerator.clip_grad_norm_(parameters, settings.clip_norm)
        optimizer.step()
        schedule.step()
        recent.append(value)
        if done.step % LOG_EVERY == 0:
            done.curve.append(
                {"epoch": epoch, "step": done.step, "loss": sum(recent) / len(recent), "lr": lr, "val_miou": None}
            )
            recent.clear()
        yield value


def _validate(
    model: RSRefSeg, dataset: Dataset, config: ExperimentConfig, epoch: int, done: Progression, workers: int
) -> None:
    """Validation mIoU at the end of an epoch; keeps the weights if it is the best so far."""
    model.eval()
    lines = evaluate(model, dataset, "val", batch_images=config.train.batch_images, workers=workers).lines
    value = miou(lines)
    last = done.curve[-1] if done.curve else {"loss": None, "lr": None}
    done.curve.append(
        {"epoch": epoch, "step": done.step, "loss": last["loss"], "lr": last["lr"], "val_miou": round(value, 6)}
    )
    if value > done.best_value:
        done.best_value, done.best_epoch = value, epoch
        done.best_state = {name: tensor.detach().clone() for name, tensor in model.trained_state().items()}


def batch_loss(logits_NSS: Tensor, batch: Batch, weights: LossConfig) -> Tensor:
    """The weighted losses at the labels' own sizes, mean over samples: logits are resized (bilinear), labels never."""
    total = logits_NSS.new_zeros(())
    sizes = [mask.shape for mask in batch.masks]
    for size in dict.fromkeys(sizes):
        chosen = [position for position, other in enumerate(sizes) if other == size]
        logits = interpolate(logits_NSS[chosen].unsqueeze(1), size=size, mode="bilinear", align_corners=False).squeeze(
            1
        )
        truth = torch.stack([torch.from_numpy(batch.masks[position]) for position in chosen]).to(logits)
        total = total + len(chosen) * weighted_loss(logits, truth, weights.model_dump())
    return total / len(sizes)


def lr_ratio(step: int, per_epoch: int, settings: TrainConfig) -> float:
    """Linear warm-up, then cosine to `final_lr_ratio` at the last step: the schedule of the released code."""
    warm, total = settings.warmup_epochs * per_epoch, settings.epochs * per_epoch
    if step < warm:
        return (step + 1) / (warm + 1)
    share = (step - warm) / max(1.0, total - warm)
    return settings.final_lr_ratio + (1 - settings.final_lr_ratio) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def peak_memory_mb() -> float:
    """Largest memory this process has held: of the accelerator if there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml")],
    seed: Annotated[int, typer.Option(help="seeds everything that is drawn")] = 0,
) -> None:
    """Train one run."""
    console = Console()
    with clear_errors():
        params = load_params()
        config = resolve(params, dataset, model, variant, seed)
        samples = open_dataset(params, dataset)
        weights = Path("weights") / model
        set_seed(seed)
        accelerator = Accelerator()
        if accelerator.num_processes > 1:
            raise ConfigError(
                f"experiments.train: started as {accelerator.num_processes} processes, each of which would train on "
                "all images; start one: python -m experiments.train"
            )
        network = RSRefSeg.from_foundation(config.model, weights).to(accelerator.device)
        run = fit(network, samples, config, accelerator, console, params.loader.workers)
        folder = save_run(run, foundation_hashes(weights), samples.manifest.samples_sha256)
        console.print(f"best epoch {run.training.best_epoch}, val mIoU {run.training.best_value:.4f} -> {folder}")


if __name__ == "__main__":
    typer.run(main)
