"""A trained run written where git keeps it, in the precision that its masks allow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmark.data.files import replacing
from benchmark.data.rle import decode_mask
from benchmark.data.samples import Dataset
from benchmark.evaluator import evaluate
from benchmark.metrics.iou import summary
from benchmark.output.terminal import progress_bar, terminal
from benchmark.results.schema import TEST_SPLIT
from benchmark.results.store import ResultError, StoredResult, data_of, load_result
from experiments.config import load_params, open_dataset, pick, pick_variant
from experiments.errors import InputError, clear_errors
from experiments.foundations import foundation_hash, foundation_hashes, weights_folder
from experiments.places import RESULTS, RUNS
from experiments.published import FILE, Published, published_folder, to_bins
from experiments.runs import how_to_train, restore, stored_config
from experiments.settings import ExperimentConfig
from models.checkpoint import CheckpointError, fill, load_tensors, read_metadata, save_tensors
from models.system import System
from models.systems import entry_of
from models.zoo import CONTROLS

MIOU = 0.0005  # a twentieth of a percentage point; two seeds of one variant differ by several times that
CHANGED = 0.001  # of the pixels


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in half precision; counts stay whole numbers."""
    return {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}


def changed_pixels(dataset: Dataset, before: pd.DataFrame, after: pd.DataFrame) -> float:
    """The share of all test pixels that one table of masks (sample_id, prediction) has inside and the other outside."""
    samples = dataset.split(TEST_SPLIT)
    masks = [dict(zip(table["sample_id"], table["prediction"], strict=True)) for table in (before, after)]
    changed = 0
    for name, height, width in zip(samples["sample_id"], samples["height"], samples["width"], strict=True):
        one, other = (decode_mask(table[name], height, width) for table in masks)
        changed += int((one != other).sum())
    return changed / int((samples["height"] * samples["width"]).sum())


def stored_precision(
    network: System, tensors: Mapping[str, Tensor], stored: StoredResult, dataset: Dataset, file: Path, remedy: str
) -> tuple[dict[str, Tensor], float, float]:
    """What is written: halved if that is good enough; with it, mIoU and the share of pixels that changed.

    `network` is the run's, with its adapters in place; afterwards it is of no more use.
    """
    small = halved(tensors)
    fill(network, set(tensors), small, file, remedy)
    network.merge_adapters()
    with progress_bar(console := terminal()) as progress:
        task = progress.add_task("half precision on the test split")
        measured = evaluate(
            network.to("cuda" if torch.cuda.is_available() else "cpu"),
            dataset,
            TEST_SPLIT,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    miou, changed = summary(measured.lines)["miou"], changed_pixels(dataset, stored.predictions, measured.masks)
    good = all(value.isfinite().all() for value in small.values())
    good = good and abs(miou - stored.metrics["miou"]) <= MIOU and changed <= CHANGED
    console.print(
        f"half precision: test mIoU {miou:.4%} for {stored.metrics['miou']:.4%}, {changed:.4%} of the pixels change "
        f"sides: {'taken' if good else 'not taken'}"
    )
    return (small, miou, changed) if good else (dict(tensors), stored.metrics["miou"], 0.0)


def publish(config: ExperimentConfig, stored: StoredResult, dataset: Dataset) -> Path:
    """Write the published folder of a run, replacing an older one when everything is there.

    Raises:
        CheckpointError, ResultError: run, result and data are not of one another, or the result has no calibration.
        FileNotFoundError: the run's checkpoint or the foundation weights are not here.
    """
    run = stored.result.run
    folder, weights, remedy = RUNS / Path(*stored.folder.parts[-4:]), weights_folder(run.model), how_to_train(config)
    network, fingerprint = restore(folder, config, weights, remedy)
    if fingerprint != run.fingerprint:
        raise CheckpointError(f"{folder}: not the training that {stored.folder} was measured with. {remedy}")
    if data_of(dataset) != stored.result.data or len(stored.predictions) != len(stored.lines):
        raise ResultError(
            f"{stored.folder}: not of the data in {dataset.folder}, or without every mask; evaluate again"
        )
    if stored.sweep is None:
        raise ResultError(f"{stored.folder}: has no sweep.parquet to say how sure the model may be; evaluate again")
    file = folder / "model.safetensors"
    tensors = load_tensors(file, remedy)
    written, miou, changed = stored_precision(network, tensors, stored, dataset, file, remedy)
    about = Published(
        dataset=run.dataset,
        model=run.model,
        variant=run.variant,
        seed=run.seed,
        fingerprint=fingerprint,
        foundation=foundation_hash(foundation_hashes(entry_of(config.model).files(weights))),
        samples=len(stored.lines),
        miou=stored.metrics["miou"],
        precision="float16" if any(value.dtype == torch.float16 for value in written.values()) else "float32",
        miou_stored=round(miou, 6),
        changed=round(changed, 8),
        reliability=to_bins(stored.sweep, stored.lines),
    )
    place = published_folder(run.model, run.dataset)
    with replacing(place) as part:
        save_tensors(part / "model.safetensors", written, read_metadata(file))
        for name, content in (("config.json", config.plain()), (FILE, about.model_dump(mode="json"))):
            (part / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return place


def main(dataset: str, model: str, variant: str | None, seed: int) -> None:
    """Publish one trained run."""
    with clear_errors():
        params = load_params()
        variant = variant or pick_variant(params, pick("model", model, params.models), None)
        if variant in CONTROLS:
            raise InputError(f"--variant {variant}: a training-free baseline has nothing to publish; give a variant")
        point = Path(dataset, model, variant, str(seed))
        remedy = f"Train it: dvc repro evaluate@{'-'.join(point.parts)}"
        samples = open_dataset(params, dataset)
        config = stored_config(RUNS / point, remedy)
        place = publish(config, load_result(RESULTS / point), samples)
        size = sum(file.stat().st_size for file in place.iterdir())
        said = f"{size / 1e6:.2f} MB -> {place}; commit it with {RESULTS / point}: git add {place} {RESULTS / point}"
        terminal(soft_wrap=True).print(said)
