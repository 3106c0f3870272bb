from __future__ import annotations

import os
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from benchmark.datasets import DATASETS
from experiments.config import load_params
from experiments.preflight import machine
from experiments.preflight.machine import folder_faults, git_faults, in_git, room_faults

ROOT = Path(__file__).parents[3]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit and DVC's settings."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "start")):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], check=True)
    return folder


def test_a_clone_is_what_dvc_needs(project: Path) -> None:
    assert list(git_faults()) == []
    assert in_git(".dvc")
    assert not in_git("raw")
    assert not in_git("../elsewhere")


def test_a_zip_download_without_git_says_what_to_do(project: Path) -> None:
    shutil.rmtree(".git")
    (fault,) = git_faults()
    assert fault.startswith(f"{project}: not in a git repository (a zip download is none)")
    assert "take a clone" in fault
    assert "git init && git add --all && git commit" in fault


def test_a_repository_without_a_commit_is_named(project: Path) -> None:
    shutil.rmtree(".git")
    subprocess.run(["git", "init", "--quiet"], check=True)
    (fault,) = git_faults()
    assert "the git repository has no commit" in fault


def test_without_git_itself_it_says_how_to_install_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    (fault,) = git_faults()
    assert fault.startswith("git: not found")
    assert "apt-get install git" in fault
    assert not in_git(".dvc")


def test_what_is_not_the_whole_project_is_named(project: Path) -> None:
    shutil.rmtree(".dvc")
    (fault,) = git_faults()
    assert ".dvc/config: not there" in fault


def test_a_full_disk_is_named_with_what_is_needed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage(0, 0, 400_000_000))
    (fault,) = room_faults(params, [], [])
    assert "0.4 GB are free on this disk, and about 1.0 GB are needed (the run 1.0); make room" in fault
    spec = DATASETS["refsegrs"].spec
    assert spec is not None
    (fault,) = room_faults(params, [spec], ["rsrefseg-h"])
    assert "weights of rsrefseg-h 13.0" in fault
    assert {name for name, plan in params.foundation.items() if plan.source} <= set(machine.WEIGHTS)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage(0, 0, 10**12))
    assert list(room_faults(params, [spec], ["rsrefseg-h"])) == []


def test_every_folder_that_cannot_be_written_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("results", "runs"):
        Path(name).mkdir()
    Path("data").touch()
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) not in (Path("results"), Path("runs")))
    data, *folders = sorted(folder_faults())
    assert "project/data: not a folder" in data
    assert [f"{project / name}: nothing can be written into it; make it writable" in fault
            for name, fault in zip(("results", "runs"), folders, strict=True)] == [True, True]  # fmt: skip
