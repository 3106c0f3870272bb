"""Data and weights that a run will need: there, to be downloaded, or missing.

What can be downloaded is a note; what a person must lay there, or what git has and lies here no more, is a fault.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.datasets.spec import File, Hub, Spec
from experiments.config import PARAMS, dataset_config, source_of
from experiments.foundations import REPORT, read_report
from experiments.places import DATA, WEIGHTS
from experiments.preflight.machine import in_git
from experiments.preflight.paths import check_path
from experiments.settings import ConfigError, Params
from models.errors import CheckpointError
from models.systems import SYSTEMS
from models.zoo import SYSTEM_OF


@dataclass
class Needed:
    """What was found. datasets, models: those that will be downloaded."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    datasets: list[Spec] = field(default_factory=list)
    models: list[str] = field(default_factory=list)


def find_inputs(params: Params) -> Needed:
    """Look for everything that `run` of params.yaml needs; a dataset whose settings cannot be used is left aside."""
    found = Needed()
    for dataset in params.run.datasets:
        try:
            _find_dataset(params, dataset, found)
        except ConfigError:
            continue  # experiments.check names it with the other faults of params.yaml
    for model in params.run.models:
        if model in params.foundation:
            _find_weights(params, model, found)
    return found


def _find_dataset(params: Params, dataset: str, found: Needed) -> None:
    config, spec = dataset_config(params, dataset), source_of(params, dataset).spec
    root = getattr(config, "root", None)
    built = (DATA / dataset / "manifest.json").is_file()
    if root is None or (built and config.images_root is None):  # drawn, or made already with its images
        return
    place, folder = f"{PARAMS}: datasets.{dataset}.root", Path(root)
    missing = _missing_files(spec, folder) if spec is not None else []
    by_hand = [file.name for file in missing if file.origin is None]
    remote = [(file.name, file.origin.repository) for file in missing if isinstance(file.origin, Hub)]
    unreachable = [name for name, repository in remote if not _may_come(repository, "dataset")]
    steps = f". {spec.steps(root)}" if spec is not None else "; lay the files there, or write where they are"
    if by_hand:
        found.faults.append(f"{place} = {str(root)!r}: lacks {', '.join(by_hand)}, got by hand only{steps}")
    elif unreachable:
        found.faults.append(
            f"{place} = {str(root)!r}: lacks {', '.join(unreachable)}, and HF_HUB_OFFLINE forbids to download it{steps}"
        )
    elif missing and spec is not None:
        found.datasets.append(spec)
        found.notes.append(f"{dataset}: {', '.join(file.name for file in missing)} will be downloaded into {root}")
    elif not folder.is_dir() or not any(folder.iterdir()):
        what = "is not there" if not folder.exists() else "is empty" if folder.is_dir() else "is not a folder"
        found.faults.append(f"{place} = {str(root)!r}: {folder.absolute()} {what}{steps}")
    elif unmet := config.unmet(dataset):
        found.faults += [f"{PARAMS}: datasets.{dataset}.{fault}" for fault in unmet]
    elif not folder.is_absolute() and not in_git(folder):
        found.notes.append(
            f"datasets.{dataset}.root = {str(root)!r} is not in git: `dvc exp run --temp` and `--queue` run in a copy "
            f"that lacks it; with them, give the whole path: -S 'datasets.{dataset}.root={folder.resolve()}'"
        )


def _missing_files(spec: Spec, root: Path) -> list[File]:
    """The needed files that are not there, neither as they are nor in their archive."""
    return [
        file
        for file in spec.files
        if file.needed
        and not all((root / name).exists() for name in file.lands())
        and not (root / file.into / file.name).is_file()
    ]


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")


def _may_come(repository: str, kind: str) -> bool:
    """Whether a file of the hub is to be had: the network may be asked, or the cache has some of the repository."""
    if not _offline():
        return True
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return (cache / f"{kind}s--{repository.replace('/', '--')}").is_dir()


def _find_weights(params: Params, model: str, found: Needed) -> None:
    """What is missing of a model's foundation, or of the other's that it is like."""
    plan, entry = params.foundation[model], SYSTEMS[SYSTEM_OF[model]]
    folder = WEIGHTS / (plan.like or model)
    missing = [file for file in entry.files(folder).values() if not file.is_file()]
    if (WEIGHTS / model / REPORT).is_file():
        try:
            read_report(WEIGHTS / model)
        except CheckpointError as error:
            found.faults.append(str(error))
    if not missing:
        return
    names = ", ".join(str(file) for file in missing)
    if committed := [file for file in missing if in_git(file)]:
        found.faults.append(
            f"{', '.join(str(file) for file in committed)}: in git, but not here; git checkout {folder}"
        )
    elif plan.like is not None:
        found.faults.append(
            f"{PARAMS}: foundation.{model}.like = {plan.like!r}: {names} not there; "
            f"python -m experiments.foundation --model {plan.like}"
        )
    elif plan.source is None:
        found.notes.append(f"{names}: will be pretrained here, which takes hours without a GPU")
    else:
        hub = []
        for part, source in plan.source.of_parts.items():
            local = source.folder or getattr(source, "official", None)
            place = f"{PARAMS}: foundation.{model}.source.{part}"
            if local is None:
                hub.append(str(source.hub))
                if source.revision is None and _offline():
                    found.faults.append(f"{place}: HF_HUB_OFFLINE forbids to ask for its commit: write its revision")
                elif not _may_come(hub[-1], "model"):
                    found.faults.append(
                        f"{place}: {hub[-1]} is not in the hub's cache, and HF_HUB_OFFLINE forbids to ask: set it to 0"
                    )
            elif fault := _local_fault(place, local, source.folder is not None):
                found.faults.append(fault)
        if hub:
            found.models.append(model)
            found.notes.append(f"{names}: will be downloaded ({', '.join(hub)}) unless the hub's cache has them")


def _local_fault(place: str, path: Path, folder: bool) -> str | None:
    """Why published weights cannot be taken from a path; `~` is expanded there."""
    whole = path.expanduser()
    try:
        check_path(place, str(whole))
    except ConfigError as error:
        return str(error)
    if whole.is_dir() if folder else whole.is_file():
        return None
    kind = "folder" if folder else "file"
    return f"{place} = {str(path)!r}: no such {kind}; lay the weights there, or write where they are"
