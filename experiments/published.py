"""A trained run in git, so that a mask can be had without training: weights/<model>/trained/<dataset>/.

model.safetensors   only what trained, in half precision where that changes nothing that matters (experiments/publish.py
                    measures it); its metadata holds the fingerprint, the foundation's hashes and the data's, as a run's
config.json         the resolved configuration
published.json      whose result it is, and how far its probabilities could be trusted on that test split
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.metrics.calibration import reliability
from benchmark.results.store import load_result
from experiments.errors import InputError
from experiments.foundations import weights_folder
from experiments.places import PUBLISHED, WEIGHTS
from experiments.runs import how_to_train, restore, stored_config
from experiments.settings import ExperimentConfig
from models.errors import CheckpointError
from models.system import System
from models.zoo import CONTROLS

TRAINED = "trained"  # weights/<model>/trained/<dataset>
FILE = "published.json"

Share = Annotated[float, Field(ge=0, le=1)]


class Bin(BaseModel):
    """Of the test pixels whose probability lies in (low, high], which share was the object's; None without pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Share
    high: Share
    share: Share | None


class Published(BaseModel):
    """What published.json says. fingerprint: of the run and of its result. foundation: one SHA-256 of the foundation
    files. miou: of the result, on `samples` test samples. changed: the share of test pixels that the stored precision
    puts on the other side of the mask; miou_stored: mIoU with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    model: str
    variant: str
    seed: int
    fingerprint: str
    foundation: str
    samples: int
    miou: Share
    precision: Literal["float16", "float32"]
    miou_stored: Share
    changed: Share
    reliability: tuple[Bin, ...]


def to_bins(sweep: pd.DataFrame, lines: pd.DataFrame) -> tuple[Bin, ...]:
    """How far probabilities could be trusted, of a result's tables (benchmark/metrics/calibration.py)."""
    return tuple(
        Bin(low=low, high=high, share=None if math.isnan(share) else round(share, 4))
        for low, high, _, share in reliability(sweep, lines).itertuples(index=False)
    )


def published_folder(model: str, dataset: str, root: Path = Path()) -> Path:
    """Where the published run of a model and dataset lies."""
    return root / "weights" / model / TRAINED / dataset


def read_published(folder: Path) -> Published:
    """What a published run says of itself.

    Raises:
        FileNotFoundError: none is there.
        CheckpointError: published.json is truncated, or not of this version.
    """
    file = folder / FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no trained run is published there. Check out the repository whole (git checkout weights), or "
            "name a run that was trained here: --run results/<dataset>/<model>/<variant>/<seed> (make repro trains "
            "some); to publish one: python -m experiments.publish --help"
        )
    try:
        return Published.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise CheckpointError(
            f"{file}: {place or 'the file'}: {fault['msg']}. Take it anew: git checkout weights"
        ) from None


def load_published(folder: Path, weights: Path) -> tuple[System, ExperimentConfig, Published]:
    """The published model in evaluation mode, its adapters in place, with its configuration.

    Args:
        folder: weights/<model>/trained/<dataset>.
        weights: the foundation's folder.

    Raises:
        FileNotFoundError: a file of the run or of the foundation weights is missing.
        CheckpointError: damaged, of another run than published.json says, or trained on other foundation weights.
    """
    about = read_published(folder)
    run = f"{about.dataset}-{about.model}-{about.variant}-{about.seed}"
    remedy = (
        "Both are in git: git checkout weights. If the foundation was meant to change, train on it and publish again: "
        f"dvc repro evaluate@{run}; python -m experiments.publish --dataset {about.dataset} --model {about.model} "
        f"--variant {about.variant} --seed {about.seed}"
    )
    config = stored_config(folder, remedy)
    network, fingerprint = restore(folder, config, weights, remedy)
    if about.fingerprint != fingerprint:
        raise CheckpointError(f"{folder / FILE}: not of the checkpoint beside it. {remedy}")
    return network, config, about


def find_run(folder: Path = PUBLISHED) -> tuple[System, ExperimentConfig]:
    """The trained model of results/<dataset>/<model>/<variant>/<seed>, of runs/<the same> or of
    weights/<model>/trained/<dataset>, ready to predict.

    Raises:
        InputError: not such a folder, or a control's.
        FileNotFoundError, CheckpointError: no checkpoint of it here, or not that of the result.
    """
    places = (folder if len(folder.parts) >= 5 else folder.absolute()).parts
    if places[-4:-3] == ("weights",) and places[-2] == TRAINED:
        network, config, _ = load_published(folder, folder.parents[1])
        network.merge_adapters()
        return network, config
    if len(places) < 5 or places[-5] not in ("results", "runs") or not places[-1].isdecimal():
        raise InputError(f"--run {folder}: not a run; give results/<dataset>/<model>/<variant>/<seed>")
    root, point = Path(*places[:-5]), places[-4:]
    dataset, model, variant, seed = point
    if variant in CONTROLS:
        raise InputError(f"--run {folder}: {variant} is a control, which was not trained; give a variant's run")
    result, trained = root / "results" / Path(*point), root / "runs" / Path(*point)
    if not folder.is_dir():
        raise FileNotFoundError(f"--run {folder}: no such folder; it is made by dvc repro, or see what results/ holds")
    remedy = f"Train it: dvc repro train@{dataset}-{model}-{variant}-{seed} (checkpoints are not in git)"
    if not (trained / "model.safetensors").is_file():
        raise FileNotFoundError(f"{trained / 'model.safetensors'}: the run's checkpoint is not here. {remedy}")
    config = stored_config(trained, remedy)
    network, fingerprint = restore(trained, config, weights_folder(model, root / WEIGHTS), how_to_train(config))
    if places[-5] == "results" and load_result(result).result.run.fingerprint != fingerprint:
        raise CheckpointError(f"{trained}: not the training that {result} was measured with. {how_to_train(config)}")
    network.merge_adapters()
    return network, config
