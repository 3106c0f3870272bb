"""A clone of the working tree with a tiny study, for tests that run the pipeline by its real commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def in_clone(folder: Path, *command: str) -> str:
    """Run a command in the clone, with this interpreter's tools first; its output."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def make_clone(folder: Path, run: Mapping[str, Any], train: Mapping[str, Any], **sections: Mapping[str, Any]) -> Path:
    """The files git has or would take, as a repository of their own, with few scenes and no results.

    run, train: what they change in `run` and in `models.mini.train`; sections: in other sections of params.yaml.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    lock = yaml.load((folder / "dvc.lock").read_text(encoding="utf-8"), yaml.CSafeLoader)
    lock["stages"] = {name: stage for name, stage in lock["stages"].items() if name.startswith("foundation@")}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")  # the others' take DVC seconds to read
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["run"] |= {"datasets": ["synthetic"], "seeds": [0], **run}
    params["datasets"]["synthetic"] = {"train": 6, "val": 2, "test": 3, "side": 96, "per_image": 3}
    params["models"]["mini"] = {"clip": {}, "sam": {}, "train": {**params["models"]["mini"]["train"], **train}}
    for name, section in sections.items():
        params[name] |= section
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    commit = ("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "clone")
    for words in (("init", "--quiet"), ("add", "--all"), commit):
        in_clone(folder, "git", *words)
    return folder
