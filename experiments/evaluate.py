"""Measure one run, or one control that needs no training, on the test split.

    python -m experiments.evaluate --dataset synthetic --model mini --variant rsrefseg --seed 0
    python -m experiments.evaluate --dataset synthetic --model mini --variant whole_image

Writes results/<dataset>/<model>/<variant>/<seed>/ (benchmark/results/store.py says what).
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from accelerate.utils import set_seed
from rich import print
from rich.progress import Progress

from benchmark.data.samples import Dataset, encode_mask, load_examples
from benchmark.evaluator import Details, evaluate
from benchmark.metrics.iou import summary
from benchmark.results import store as results
from experiments.config import ExperimentConfig, fingerprint, load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.runs import foundation_hash, foundation_hashes, load_model, run_folder
from models.baselines import CONTROLS

RESULTS = Path("results")
WEIGHTS = Path("weights")


@dataclass(frozen=True)
class How:
    """Settings of params.yaml's `evaluate` and `loader`."""

    batch_images: int = 8
    sides: tuple[int, ...] = ()
    workers: int = 0


def measure_run(config: ExperimentConfig, dataset: Dataset, how: How) -> Path:
    """Evaluate a trained run -> its result folder."""
    model, fingerprint = load_model(config, WEIGHTS / config.model_name)
    folder = run_folder(config)
    training = results.Training.model_validate_json((folder / "train.json").read_text(encoding="utf-8"))
    run = results.Run(
        dataset=config.dataset,
        model=config.model_name,
        variant=config.variant,
        seed=config.seed,
        control=False,
        config=config.plain(),
        fingerprint=fingerprint,
    )
    return _measure(model, run, training, results.load_curve(folder / "curve.csv"), dataset, how)


def measure_control(control: str, config: ExperimentConfig, dataset: Dataset, how: How) -> Path:
    """Evaluate a control, which depends on the foundation models alone -> its result folder."""
    weights = WEIGHTS / config.model_name
    model = CONTROLS[control](config.model, weights).eval()
    plain = {part: config.plain()["model"][part] for part in ("clip", "sam")}
    foundation = foundation_hash(foundation_hashes(weights))
    run = results.Run(
        dataset=config.dataset,
        model=config.model_name,
        variant=control,
        seed=0,
        control=True,
        config={"model": plain},
        fingerprint=fingerprint([control, plain], foundation, dataset.manifest.samples_sha256),
    )
    training = results.Training(
        epochs=0,
        steps=0,
        seconds=0,
        selection_metric=None,
        selection_split=None,
        best_epoch=None,
        best_value=None,
        parameters_total=sum(parameter.numel() for parameter in model.parameters()),
        parameters_trained=0,
        peak_memory_mb=0,
    )
    return _measure(model, run, training, None, dataset, how)


def _measure(
    model: torch.nn.Module,
    run: results.Run,
    training: results.Training,
    curve: pd.DataFrame | None,
    dataset: Dataset,
    how: How,
) -> Path:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = load_examples(RESULTS / run.dataset / "examples.parquet")
    started = time.perf_counter()
    with Progress() as progress:
        task = progress.add_task(f"{run.variant} test")
        measured = evaluate(
            model.to(device),  # type: ignore[arg-type]
            dataset,
            results.TEST_SPLIT,
            batch_images=how.batch_images,
            workers=how.workers,
            keep=set(examples["sample_id"]),
            details=Details(how.sides),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    manifest = (dataset.folder / "manifest.json").read_bytes()
    lines = measured.lines
    metrics = summary(lines)
    result = results.Result(
        run=run,
        data=results.Data(manifest_sha256=hashlib.sha256(manifest).hexdigest(), counts=json.loads(manifest)["counts"]),
        train=training,
        eval={
            results.TEST_SPLIT: results.Evaluation(
                samples=len(lines),
                images=lines["image_id"].nunique(),
                seconds=time.perf_counter() - started,
                predict_seconds=measured.predict_seconds,
                metrics=metrics,
            )
        },
        meta=results.provenance(device=f"{device.type} ({torch.get_num_threads()} threads)"),
    )
    predictions = pd.DataFrame(
        [{"sample_id": name, "prediction": encode_mask(measured.masks[name])} for name in examples["sample_id"]]
    )
    folder = results.result_folder(RESULTS, run)
    results.save_result(folder, result, lines, curve, predictions, measured.sweep)
    print(f"{run.variant}: test mIoU {metrics['miou']:.4f}, oIoU {metrics['oiou']:.4f} -> {folder}")
    return folder


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml, or a control")],
    seed: Annotated[int, typer.Option(help="the run's seed; a control draws nothing and has 0")] = 0,
) -> None:
    """Evaluate one run or control."""
    with clear_errors():
        params = load_params()
        samples = open_dataset(params, dataset)
        set_seed(seed)
        how = How(params.evaluate.batch_images, params.evaluate.sides, params.loader.workers)
        if variant in CONTROLS:
            measure_control(variant, resolve(params, dataset, model, None, 0), samples, how)
        else:
            measure_run(resolve(params, dataset, model, variant, seed), samples, how)


if __name__ == "__main__":
    typer.run(main)
