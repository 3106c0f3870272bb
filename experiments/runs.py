"""A trained run on disk: runs/<dataset>/<model>/<variant>/<seed>/, written whole or not at all.

model.safetensors   only what trained; its metadata holds the fingerprint
config.json         the resolved configuration
train.json          costs, and which epoch was chosen
curve.csv           loss by step, validation mIoU by epoch
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from benchmark.results import Training, save_curve
from experiments.config import ExperimentConfig, fingerprint
from models.checkpoint import REMEDY, CheckpointError, fill, load_tensors, read_metadata, save_tensors, sha256
from models.foundation import foundation_files
from models.rsrefseg import RSRefSeg

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """What a training leaves behind."""

    config: ExperimentConfig
    state: dict[str, Tensor]
    curve: pd.DataFrame
    training: Training


def foundation_hash(weights: Path) -> str:
    """One SHA-256 of all files of a foundation folder.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    files = foundation_files(weights)
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(f"{file}: not found. {REMEDY}")
    return hashlib.sha256("".join(f"{name} {sha256(file)}\n" for name, file in files.items()).encode()).hexdigest()


def run_folder(config: ExperimentConfig) -> Path:
    """Where a run lies."""
    return RUNS / config.dataset / config.model_name / config.variant / str(config.seed)


def save_run(run: Run, foundation: str, data: str) -> Path:
    """Write a run's folder, replacing an older one when everything is there."""
    folder = run_folder(run.config)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    metadata = {"fingerprint": fingerprint(run.config.plain(), foundation, data), "foundation": foundation}
    save_tensors(partial / "model.safetensors", run.state, metadata)
    for name, content in (("config.json", run.config.plain()), ("train.json", run.training.model_dump(mode="json"))):
        (partial / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_curve(partial / "curve.csv", run.curve)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def load_model(config: ExperimentConfig, weights: Path) -> tuple[RSRefSeg, str]:
    """The model of a run, ready to predict, and the run's fingerprint.

    Raises:
        FileNotFoundError: it was not trained.
        CheckpointError: it was trained with another configuration or on other foundation weights, or is damaged.
    """
    folder = run_folder(config)
    file = folder / "model.safetensors"
    remedy = f"Train it: dvc repro train@{config.dataset}-{config.model_name}-{config.variant}-{config.seed}"
    tensors = load_tensors(file, remedy)
    metadata = read_metadata(file)
    if _trained_with(folder / "config.json", remedy) != config.plain():
        raise CheckpointError(f"{folder / 'config.json'}: not the configuration that params.yaml gives now. {remedy}")
    if metadata.get("foundation") != foundation_hash(weights):
        raise CheckpointError(f"{file}: trained on other foundation weights than those in {weights}. {remedy}")
    model = RSRefSeg.from_foundation(config.model, weights)
    fill(model, set(model.trained_state()), tensors, file, remedy)
    return model.eval(), metadata["fingerprint"]


def _trained_with(file: Path, remedy: str) -> Any:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {remedy}")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not a whole configuration ({error}). {remedy}") from None
