"""A trained run on disk: runs/<dataset>/<model>/<variant>/<seed>/, written whole or not at all.

model.safetensors   only what trained; its metadata holds the fingerprint and what it is made of
config.json         the resolved configuration
train.json          costs, and which epoch was chosen
curve.csv           loss by step, validation mIoU by epoch
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from benchmark.data.files import replacing
from benchmark.results.schema import Training
from benchmark.results.store import save_curve
from experiments.config import differences, fingerprint
from experiments.foundations import foundation_hash, foundation_hashes
from experiments.places import RUNS, WORK
from experiments.settings import ExperimentConfig, parse, run_class
from models.checkpoint import CheckpointError, fill, load_tensors, read_metadata, save_tensors
from models.system import System
from models.systems import build, entry_of
from models.weights.foundation import undrawn
from models.zoo import SYSTEM_OF


@dataclass(frozen=True)
class TrainedRun:
    """What a training leaves behind."""

    config: ExperimentConfig
    state: dict[str, Tensor]
    curve: pd.DataFrame
    training: Training


def run_folder(config: ExperimentConfig) -> Path:
    """Where a run lies."""
    return RUNS / config.dataset / config.model_name / config.variant / str(config.seed)


def work_folder(config: ExperimentConfig, foundation: Mapping[str, str], data: str) -> Path:
    """Where what is not done yet of a run lies; arguments as of save_run()."""
    return WORK / fingerprint(config.plain(), foundation_hash(foundation), data)


def save_run(run: TrainedRun, foundation: Mapping[str, str], data: str) -> Path:
    """Write a run's folder, replacing an older one when everything is there.

    Args:
        run: what to keep.
        foundation: SHA-256 of the foundation files it was trained on.
        data: SHA-256 of the table of samples it was trained on.
    """
    folder = run_folder(run.config)
    metadata = {
        "fingerprint": fingerprint(run.config.plain(), foundation_hash(foundation), data),
        "foundation": json.dumps(dict(foundation)),
        "data": data,
    }
    with replacing(folder) as part:
        save_tensors(part / "model.safetensors", run.state, metadata)
        for name, content in (
            ("config.json", run.config.plain()),
            ("train.json", run.training.model_dump(mode="json")),
        ):
            (part / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        save_curve(part / "curve.csv", run.curve)
    return folder


def load_model(config: ExperimentConfig, weights: Path) -> tuple[System, str]:
    """The model of a run as params.yaml gives it now, ready to predict, and the run's fingerprint.

    Raises:
        FileNotFoundError: it was not trained.
        CheckpointError: it was trained with another configuration, or as `restore`.
    """
    folder, remedy = run_folder(config), how_to_train(config)
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{folder / 'model.safetensors'}: not found. {remedy}")
    others = list(differences(stored_config(folder, remedy).plain(), config.plain()))
    if others:
        more = f", and {len(others) - 3} more" if len(others) > 3 else ""
        raise CheckpointError(
            f"{folder / 'config.json'}: not the configuration that params.yaml gives now: "
            f"{', '.join(others[:3])}{more}. {remedy}"
        )
    model, found = restore(folder, config, weights, remedy)
    model.merge_adapters()
    return model, found


def restore(folder: Path, config: ExperimentConfig, weights: Path, remedy: str) -> tuple[System, str]:
    """The trained model of a run's folder, its adapters in place, in evaluation mode; and the run's fingerprint.

    Args:
        folder: holds model.safetensors; half precision is read as it is.
        config: what it was trained with.
        weights: the foundation's folder.
        remedy: what every error message ends with.

    Raises:
        FileNotFoundError: a file of the run or of the foundation weights is missing.
        CheckpointError: the file is not whole, lacks or has other tensors than this configuration trains, was trained
            on other foundation weights, or is another run's.
    """
    file = folder / "model.safetensors"
    tensors, metadata = load_tensors(file, remedy), read_metadata(file)
    if not {"fingerprint", "foundation", "data"} <= metadata.keys():
        raise CheckpointError(f"{file}: does not say what it was trained on. {remedy}")
    files = entry_of(config.model).files(weights)
    hashes = foundation_hashes(files)
    trained_on = json.loads(metadata["foundation"])
    for name, path in files.items():
        if trained_on.get(name) != hashes[name]:
            raise CheckpointError(
                f"{file}: trained on other foundation weights than {path}. If those are not as they were: git checkout "
                f"{weights}. {remedy}"
            )
    if metadata["fingerprint"] != fingerprint(config.plain(), foundation_hash(hashes), metadata["data"]):
        raise CheckpointError(f"{file}: not of the run that {folder / 'config.json'} describes. {remedy}")
    with undrawn():
        model = build(config.model, weights)
    fill(model, set(model.trained_state()), tensors, file, remedy)
    return model.eval(), metadata["fingerprint"]


def stored_config(folder: Path, remedy: str) -> ExperimentConfig:
    """What a run's folder says that it was trained with.

    Raises:
        FileNotFoundError, CheckpointError: its config.json is missing or truncated.
        ConfigError: it holds what is no configuration of this version.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {remedy}")
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not a whole configuration ({error}). {remedy}") from None
    system = SYSTEM_OF.get(str(plain.get("model_name")) if isinstance(plain, dict) else "", "rsrefseg")
    return parse(run_class(system), plain, str(file))


def how_to_train(config: ExperimentConfig) -> str:
    """The end of an error message about a run."""
    return f"Train it: dvc repro train@{config.dataset}-{config.model_name}-{config.variant}-{config.seed}"
