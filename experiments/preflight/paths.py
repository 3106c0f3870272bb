"""Paths of params.yaml: taken as they are written, and looked for where DVC runs the stages.

`dvc exp run --temp` and `--queue` run the stages in a copy of the workspace, .dvc/tmp/exps/..., that holds what git has
and nothing else: a root that is relative, or in the workspace but not in git, is not in the copy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from experiments.settings import ConfigError

COPIES = (".dvc", "tmp", "exps")  # where DVC keeps such copies
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)|%\w+%")


def check_path(place: str, path: str) -> None:
    """Refuse a path that is not what it looks like.

    Args:
        place: where it stands, "params.yaml: datasets.mine.root".
        path: as it stands there.

    Raises:
        ConfigError: empty; with `~` or an environment variable, which nothing expands; or relative in a copy that DVC
            made of the workspace, where it is not there.
    """
    if not path.strip():
        raise ConfigError(f"{place} = {path!r}: empty; write where the files are")
    whole = os.path.expandvars(os.path.expanduser(path))
    if path.startswith("~") or _VARIABLE.search(path):
        instead = f", here {whole}" if whole != path and not _VARIABLE.search(whole) else ""
        raise ConfigError(f"{place} = {path!r}: `~` and variables are not expanded; write the whole path{instead}")
    workspace = workspace_of(Path.cwd())
    if workspace is not None and not Path(path).is_absolute() and not Path(path).exists():
        there = Path(os.path.normpath(workspace / path))
        key = place.partition(": ")[2] or place
        lost = "" if there.exists() else f". {there} is not there either"
        raise ConfigError(
            f"{place} = {path!r}: not in {Path.cwd()}, the copy that `dvc exp run --temp` or `--queue` made of "
            f"{workspace} and that holds what git has. Give the whole path: dvc exp run -S '{key}={there}', or run "
            f"without --temp and --queue{lost}"
        )


def workspace_of(folder: Path) -> Path | None:
    """The workspace that a folder is in a copy of; None where DVC did not make one."""
    parts = folder.parts
    for start in range(len(parts) - len(COPIES) + 1):
        if parts[start : start + len(COPIES)] == COPIES:
            return Path(*parts[:start])
    return None
