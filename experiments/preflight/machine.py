"""What the machine must have: git with a repository, room on the disk, folders that can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.datasets.spec import Spec
from experiments.settings import Params

BASE = 1.0  # GB: data, checkpoints, MLflow's database and the report of the default run, twice over
WEIGHTS = {  # GB of published weights, as downloaded and as converted: parameters x 4 bytes, twice
    "rsrefseg-b": 8.0,
    "rsrefseg-l": 10.0,
    "rsrefseg-h": 13.0,
    "rsrefseg-b-siglip2": 10.0,
    "rsrefseg-b-clip": 5.0,
    "rsrefseg2": 11.0,
    "lavt": 2.0,
    "rmsin": 2.0,
    "clipseg": 1.5,
    "sam3": 7.0,
}
WRITTEN = (".", "data", "weights", "runs", "results", "reports/generated", ".dvc")


def git_faults() -> Iterator[str]:
    """DVC needs git, and a repository with a commit; a download of the files alone has none."""
    begin = "git init && git add --all && git commit --message start"
    if shutil.which("git") is None:
        yield "git: not found, and DVC needs it; install it (Debian: apt-get install git)"
        return
    inside = _git("rev-parse", "--is-inside-work-tree")
    if inside.returncode:
        said = (inside.stderr.strip().splitlines() or ["no word why"])[0]
        ours = "not a git repository" in said
        remedy = f"take a clone of the repository, or make this folder one: {begin}" if ours else "do what git says"
        what = "not in a git repository (a zip download is none), and DVC needs one" if ours else said
        yield f"{Path.cwd()}: {what}; {remedy}"
    elif _git("rev-parse", "--verify", "HEAD").returncode:
        yield f"{Path.cwd()}: the git repository has no commit, and DVC needs one; git add --all && git commit"
    if not Path(".dvc/config").is_file():
        yield f"{Path.cwd() / '.dvc/config'}: not there: this is not the whole project; take a clone of the repository"


def in_git(path: Path | str) -> bool:
    """Whether git has a file, or a file in a folder, of this repository."""
    return shutil.which("git") is not None and bool(_git("ls-files", "--", str(path)).stdout.strip())


def room_faults(params: Params, missing: Iterable[Spec], downloaded: Iterable[str]) -> Iterator[str]:
    """What the disk lacks.

    Args:
        params: whose run is meant.
        missing: datasets that will be downloaded; an archive is unpacked beside itself.
        downloaded: models whose published weights will be.
    """
    parts = {"the run": BASE}
    parts |= {spec.name: 2 * sum(file.size or 0 for file in spec.files if file.needed) / 1e9 for spec in missing}
    parts |= {f"weights of {model}": WEIGHTS.get(model, max(WEIGHTS.values())) for model in downloaded}
    needed, free = sum(parts.values()), shutil.disk_usage(Path.cwd()).free / 1e9
    if free < needed:
        listed = ", ".join(f"{name} {size:.1f}" for name, size in parts.items() if size)
        yield (
            f"{Path.cwd()}: {free:.1f} GB are free on this disk, and about {needed:.1f} GB are needed ({listed}); make "
            "room, or run where there is more"
        )


def folder_faults() -> Iterator[str]:
    """Folders that are written to and cannot be."""
    for name in WRITTEN:
        folder = Path(name)
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            yield f"{folder.absolute()}: nothing can be written into it; make it writable, or work in a copy"
        elif folder.exists() and not folder.is_dir():
            yield f"{folder.absolute()}: not a folder, and one is needed there; move it away"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
