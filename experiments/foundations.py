"""A model's foundation weights on disk: weights/<model>/, whose foundation.json names its other files by SHA-256, or
says that they are another model's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.data.files import sha256
from experiments.places import WEIGHTS
from models.config import Part
from models.errors import REMEDY, CheckpointError
from models.systems import entry_of

REPORT = "foundation.json"


def read_report(folder: Path) -> dict[str, Any]:
    """What foundation.json says.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointError: it is truncated.
    """
    file = folder / REPORT
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {REMEDY}")
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not a whole report ({error}). {REMEDY}") from None
    if not isinstance(report, dict) or not isinstance(report.get("sha256"), dict):
        raise CheckpointError(f"{file}: names no files by SHA-256. {REMEDY}")
    return report


def weights_folder(model: str, weights: Path = WEIGHTS) -> Path:
    """Where a model's foundation weights lie: in its own folder, or in that of the model that they are `like`.

    Raises:
        FileNotFoundError, CheckpointError: as read_report().
    """
    return weights / str(read_report(weights / model).get("like", model))


def foundation_hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of every file of a foundation folder, by name.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(f"{file}: not found. {REMEDY}")
    return {name: sha256(file) for name, file in files.items()}


def open_foundation(model: str, config: Part, weights: Path = WEIGHTS) -> tuple[Path, dict[str, str]]:
    """Where a model's foundation weights lie, and the SHA-256 of every file: those that its foundation.json names.

    Args:
        config: of its system.

    Raises:
        FileNotFoundError: one of them is missing.
        CheckpointError: one is another than foundation.json names.
    """
    folder, named = weights_folder(model, weights), read_report(weights / model)["sha256"]
    files = entry_of(config).files(folder)
    hashes = foundation_hashes(files)
    for name, file in files.items():
        if named.get(name) != hashes[name]:
            said = f"{weights / model / REPORT} says {named.get(name)}"
            raise CheckpointError(f"{file}: its SHA-256 is {hashes[name]}, and {said}. {REMEDY}")
    return folder, hashes


def foundation_hash(hashes: Mapping[str, str]) -> str:
    """One SHA-256 of them all."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in hashes.items()).encode()).hexdigest()
