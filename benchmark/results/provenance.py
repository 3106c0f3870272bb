"""Where a result was made: commit, package versions, device."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

PACKAGES = ("accelerate", "numpy", "pandas", "peft", "torch", "torchvision", "transformers")
# what decides a number, beside the resolved config that is in the result itself
CODE = ("benchmark", "experiments", "models", "pyproject.toml", "constraints.txt")


class Meta(BaseModel):
    """Where it was made. git_commit and git_dirty are None outside a git checkout; dirty looks at the code only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git_commit: str | None
    git_dirty: bool | None
    device: str
    versions: dict[str, str]


def provenance(device: str, root: Path | None = None) -> Meta:
    """Commit, package versions and device of this process; works outside git as well.

    Args:
        device: as a person names it, for example "cpu (2 threads)".
        root: the checkout to ask; by default the one this file lies in.
    """
    root = (root or Path(__file__).parents[2]).resolve()
    commit = dirty = None
    if (top := _git(root, "rev-parse", "--show-toplevel")) and Path(top).resolve() == root:
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", *CODE)
        dirty = None if commit is None or changes is None else bool(changes)
    versions = {name: metadata.version(name) for name in PACKAGES}
    return Meta(
        git_commit=commit,
        git_dirty=dirty,
        device=device,
        versions={"python": platform.python_version(), **versions},
    )


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command in `root`; None where git is missing or says no."""
    try:
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
