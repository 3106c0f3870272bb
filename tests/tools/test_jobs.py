"""tools/jobs.sh and tools/logged.sh on machines made of scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def answers(folder: Path, **programs: str) -> dict[str, str]:
    """An environment in which these programs say something."""
    for name, says in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}


def jobs(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(TOOLS / "jobs.sh"), *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("cores", "free", "gpus", "wanted"), [(8, 64, "", 8), (8, 7, "", 3), (4, 1, "", 1), (16, 64, "echo GPU 0: H100", 1)]
)
def test_as_many_trainings_as_there_are_processors_and_memory_for(
    cores: int, free: int, gpus: str, wanted: int, tmp_path: Path
) -> None:
    environment = answers(tmp_path, nproc=f"echo {cores}", awk=f"echo {free}", nvidia_smi=gpus or "exit 9")
    assert jobs(environment).stdout == f"{wanted}\n"
    assert jobs(environment, "5").stdout == "5\n"


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_jobs_is_an_error(wrong: str) -> None:
    done = jobs(dict(os.environ), wrong)
    assert done.returncode == 1
    assert done.stderr == f"error: JOBS={wrong} is no number of jobs; give 1 or more\n"


def test_each_line_has_the_name_of_its_run_and_the_exit_status_is_dvcs(tmp_path: Path) -> None:
    environment = answers(tmp_path, dvc='echo "$4 begins, $5 follows"; echo fails >&2; exit 3')
    command = ["bash", str(TOOLS / "logged.sh"), "train@a-0", "evaluate@a-0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "a-0: train@a-0 begins, evaluate@a-0 follows\na-0: fails\n")
    assert (tmp_path / "work/logs/a-0").read_text() == done.stdout


@pytest.mark.parametrize("wrong", [(), ("train",), ("train@",), ("train@../x",), ("train@a&b",)])
def test_what_is_no_stage_of_a_run_is_an_error_and_runs_nothing(wrong: tuple[str, ...], tmp_path: Path) -> None:
    environment = answers(tmp_path, dvc="touch ran")
    command = ["bash", str(TOOLS / "logged.sh"), *wrong]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is no stage of a run; give one or more" in done.stderr
    assert not (tmp_path / "ran").exists()
