"""A job as submitit's local executor runs it, with a small program in DVC's place; and with one in SLURM's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import submitit

from experiments.cluster import job
from experiments.cluster.job import StageJob
from experiments.stopping import AGAIN

ROOT = Path(__file__).parents[3]
DVC = """
import signal, subprocess, sys
from pathlib import Path

if "broken" in sys.argv:
    sys.exit("ERROR: no such stage")
assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, "DVC would end while it writes"
sys.exit(255 if subprocess.call(["sh", "-c", f"{sys.executable} stage.py; exit $?"]) else 0)
"""
STAGE = """
import sys, time
from pathlib import Path
from experiments.stopping import stoppable

if Path("kept").exists():
    sys.exit()
with stoppable() as stop:
    Path("started").touch()
    while not stop.asked:
        time.sleep(0.02)
    time.sleep(2)  # told a second time, it would end here
    Path("kept").write_text(stop.asked)
sys.exit(75)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dvc.py").write_text(DVC)
    (tmp_path / "stage.py").write_text(STAGE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def submit(folder: Path, stage: str) -> submitit.Job[None]:
    executor = submitit.LocalExecutor(folder / "jobs")
    executor.update_parameters(timeout_min=5, stderr_to_stdout=True)
    return executor.submit(StageJob(folder, (stage,)))


def test_a_job_that_is_told_twice_tells_its_stage_once_and_is_run_again(folder: Path) -> None:
    submitted, end = submit(folder, "train@x"), time.monotonic() + 120
    while not (folder / "started").exists():
        assert time.monotonic() < end, submitted.stdout()
        time.sleep(0.05)
    for _ in range(2):
        os.kill(int(submitted.job_id), signal.SIGTERM)
        time.sleep(0.7)
    assert submitted.exception() is None
    assert (folder / "kept").read_text() == "SIGINT"
    assert "stopped by SIGTERM" in str(submitted.stdout())


def test_a_stage_that_fails_unasked_fails_its_job(folder: Path) -> None:
    error = submit(folder, "broken").exception()
    assert "broken: dvc ended with status 1" in str(error)


def test_only_a_job_that_slurm_still_runs_is_requeued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """A cancelled one would come back to life: SLURM takes `scontrol requeue` of it."""
    for name, value in {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for state, calls in (("RUNNING", "requeue 7\n"), ("COMPLETING", ""), ("", "")):
        with subtests.test(msg=state):
            Path("calls").write_text("")
            for name, does in (("squeue", f"echo {state}"), ("scontrol", 'echo "$@" >> calls')):
                Path(name).write_text(f"#!/bin/sh\n{does}\n")
                Path(name).chmod(0o755)
            with pytest.raises(SystemExit, match=str(AGAIN)):
                job._run_again()
            assert Path("calls").read_text() == calls
