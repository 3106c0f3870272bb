"""Several `dvc repro` in one folder, killed ones too."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

DVC = (sys.executable, "-m", "dvc")
STAGES = {f"stage_{number}": f"sleep 0.3 && echo {number} > out_{number}" for number in range(6)}


def repro(folder: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, as from another terminal."""
    command = [*DVC, "--wait-for-lock", "repro", "--quiet"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True)


def outs(folder: Path) -> int:
    return len(list(folder.glob("out_*")))


def test_repros_at_once_and_killed_ones_leave_dvc_lock_whole(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([*DVC, "init", "--quiet"], cwd=tmp_path, check=True)
    stages = {name: {"cmd": does, "outs": [{does[-5:]: {"cache": False}}]} for name, does in STAGES.items()}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    chance, made, killed = random.Random(0), 0, 0
    for _ in range(4):
        both = [repro(tmp_path), repro(tmp_path)]
        done = outs(tmp_path)
        while outs(tmp_path) == done and all(each.poll() is None for each in both):
            time.sleep(0.01)  # DVC's own start takes a second, or three
        time.sleep(chance.uniform(0, 0.3))  # within a stage
        one = chance.choice(both)
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
            killed += 1
        for each in both:
            each.wait()
        lock = (
            yaml.safe_load((tmp_path / "dvc.lock").read_text()) if (tmp_path / "dvc.lock").exists() else {"stages": {}}
        )
        assert lock["stages"].keys() <= STAGES.keys()
        assert len(lock["stages"]) >= made  # nothing that was done is lost
        made = len(lock["stages"])
    assert killed
    assert repro(tmp_path).wait() == 0
    assert yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"].keys() == STAGES.keys()
    assert [(tmp_path / f"out_{number}").read_text() for number in range(6)] == [f"{number}\n" for number in range(6)]
    assert subprocess.run([*DVC, "status", "--quiet"], cwd=tmp_path, check=False).returncode == 0
