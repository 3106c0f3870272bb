"""A run or a control measured on the test split -> its result folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rich import print
from rich.console import Console
from rich.progress import Progress

from benchmark.data.files import remove, sha256
from benchmark.data.samples import Dataset
from benchmark.evaluator import Share, evaluate
from benchmark.journal import Journal
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details
from benchmark.output.terminal import say, terminal
from benchmark.results.provenance import provenance
from benchmark.results.schema import NOT_TRAINED, TEST_SPLIT, Evaluation, Result, Run, Training
from benchmark.results.store import collapse_of, data_of, load_curve, result_folder, save_result
from experiments.config import check_controls, fingerprint, load_params, model_config, open_dataset, pick, resolve
from experiments.errors import clear_errors
from experiments.foundations import foundation_hash, open_foundation
from experiments.frozen.attach import CODE, Tell, count_images, frozen_parts, recall_images
from experiments.locks import only_one
from experiments.places import RESULTS, WORK
from experiments.ranks import Ranks
from experiments.repeatable import device_name, make_repeatable
from experiments.runs import load_model, run_folder
from experiments.settings import EvaluateConfig, ExperimentConfig, FeaturesConfig
from experiments.stopping import Stop, Stopped, stoppable
from models.baselines import build_control, settings_of_controls
from models.config import ComputeConfig, ModelConfig, Part
from models.zoo import CONTROLS


def measure_run(
    config: ExperimentConfig,
    dataset: Dataset,
    settings: EvaluateConfig,
    features: FeaturesConfig,
    workers: int = 0,
    stop: Stop | None = None,
) -> Path:
    """Evaluate a trained run -> its result folder."""
    weights, hashes = open_foundation(config.model_name, config.model)
    model, found = load_model(config, weights)
    parts, images = frozen_parts(model), count_images(dataset, TEST_SPLIT)
    recall = partial(recall_images, model, parts, config.model, hashes, images, features)
    folder = run_folder(config)
    training = Training.model_validate_json((folder / "train.json").read_text(encoding="utf-8"))
    run = Run(
        dataset=config.dataset,
        model=config.model_name,
        variant=config.variant,
        seed=config.seed,
        control=False,
        config=config.plain(),
        fingerprint=found,
    )
    trained = sha256(folder / "model.safetensors")
    curve = load_curve(folder / "curve.csv")
    return _measure(model, recall, run, trained, training, curve, dataset, settings, workers, stop)


def measure_control(
    name: str,
    config: Part,
    model_name: str,
    dataset: Dataset,
    settings: EvaluateConfig,
    features: FeaturesConfig,
    workers: int = 0,
    stop: Stop | None = None,
) -> Path:
    """Evaluate a control, which depends on the foundation models alone -> its result folder."""
    weights, hashes = open_foundation(model_name, config)
    model = build_control(name, config, weights)
    recall: Callable[[Tell], None] = _recall_nothing
    if isinstance(config, ModelConfig):
        as_run = config.model_copy(update={"compute": ComputeConfig()})  # controls have no settings of this
        parts, images = [part for part in CODE if hasattr(model, part)], count_images(dataset, TEST_SPLIT)
        recall = partial(recall_images, model, parts, as_run, hashes, images, features)
    plain, foundation = settings_of_controls(config), foundation_hash(hashes)
    run = Run(
        dataset=dataset.folder.name,
        model=model_name,
        variant=name,
        seed=0,
        control=True,
        config={"model": plain},
        fingerprint=fingerprint([name, plain], foundation, dataset.manifest.samples_sha256),
    )
    total = sum(parameter.numel() for parameter in model.parameters())
    costs = {"seconds": 0, "parameters_total": total, "parameters_trained": 0, "peak_memory_mb": 0}
    training = NOT_TRAINED.model_copy(update=costs)
    return _measure(model, recall, run, foundation, training, None, dataset, settings, workers, stop)


def _recall_nothing(_: Tell) -> None:
    """Of a zero-shot network, which is shown each image once and keeps no features."""


def _measure(
    model: torch.nn.Module,
    recall: Callable[[Tell], None],
    run: Run,
    weights: str,
    training: Training,
    curve: pd.DataFrame | None,
    dataset: Dataset,
    settings: EvaluateConfig,
    workers: int,
    stop: Stop | None,
) -> Path:
    """recall: lets frozen encoders be asked once, and tells whether. weights: SHA-256 of what predicts."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started, ranks = time.perf_counter(), Ranks()
    meta = provenance(device_name(device.type, ranks.of))
    work = WORK / f"{run.fingerprint}-evaluate"
    about = {"weights": weights, "settings": settings.model_dump(mode="json"), "meta": meta.model_dump()}
    ranks.same({"run": run.model_dump(), **about})
    console = terminal() if ranks.first else Console(quiet=True)
    with only_one(work) if ranks.first else nullcontext(), Progress(console=console) as progress:
        journal = Journal(work / f"batches_{ranks.rank}_of_{ranks.of}", about)
        if journal.dropped:
            say(progress.console, f"note: {journal.dropped}")
        if journal.entries:
            say(progress.console, f"goes on after {len(journal.entries):,} batches, from {work}")
        model = model.to(device)
        recall(partial(say, progress.console))
        task = progress.add_task(f"{run.variant} test")

        def pause(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            if stop is not None and stop.asked:
                raise Stopped(f"{done:,} of {total:,} batches are kept in {work}; the same command goes on")

        measured = evaluate(
            model,  # type: ignore[arg-type]
            dataset,
            TEST_SPLIT,
            batch_images=settings.batch_images,
            workers=workers,
            details=Details(settings.sides),
            progress=pause,
            journal=journal,
            share=Share(ranks.rank, ranks.of, ranks.gather),
        )
    folder = result_folder(RESULTS, run)
    if not ranks.first:
        return folder
    lines = measured.lines
    metrics = summary(lines)
    evaluation = Evaluation(
        samples=len(lines),
        images=lines["image_id"].nunique(),
        seconds=time.perf_counter() - started,
        predict_seconds=measured.predict_seconds,
        metrics=metrics,
    )
    collapse = collapse_of(run, lines, measured.masks)
    result = Result(
        run=run,
        data=data_of(dataset),
        train=training,
        eval={TEST_SPLIT: evaluation},
        collapse=collapse,
        meta=meta,
    )
    save_result(folder, result, lines, curve, measured.masks, measured.sweep)
    remove(work)
    print(f"{run.variant}: test mIoU {metrics['miou']:.4f}, oIoU {metrics['oiou']:.4f} -> {folder}")
    if collapse is not None:
        print(
            f"[bold yellow]collapsed[/]: {collapse.title} ({collapse.share:.1%}); its metrics say little of the method"
        )
    return folder


def main(dataset: str, model: str, variant: str, seed: int) -> None:
    """Evaluate one run or control."""
    with clear_errors(), Ranks(), stoppable() as stop:
        params = load_params()
        samples = open_dataset(params, dataset)
        control = variant in CONTROLS
        if control:
            check_controls(pick("model", model, params.models), [variant])
        run = resolve(params, dataset, model, None if control else variant, seed)
        make_repeatable(seed, run.train.threads)
        if control:
            config = model_config(params, model)
            measure_control(
                variant, config, model, samples, params.evaluate, params.features, params.loader.workers, stop
            )
        else:
            measure_run(run, samples, params.evaluate, params.features, params.loader.workers, stop)
