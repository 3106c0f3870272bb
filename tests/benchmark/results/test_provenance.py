from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmark.results.provenance import PACKAGES, provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sam.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_the_commit_is_named_and_new_results_do_not_make_it_dirty(checkout: Path) -> None:
    (checkout / "results").mkdir()
    (checkout / "results" / "result.json").write_text("{}")
    meta = provenance("cpu", checkout)
    assert (meta.git_commit, meta.git_dirty) == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["sam.py", "new.py"])
def test_changed_or_new_code_makes_it_dirty(checkout: Path, name: str) -> None:
    (checkout / "models" / name).write_text("x = 2\n")
    assert provenance("cpu", checkout).git_dirty is True


def test_outside_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    meta = provenance("cpu", tmp_path)
    assert (meta.git_commit, meta.git_dirty) == (None, None)


def test_without_the_git_program_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance("cpu", checkout).git_commit is None


def test_the_commit_of_a_surrounding_checkout_is_not_taken(checkout: Path) -> None:
    (checkout / "vendored").mkdir()
    assert provenance("cpu", checkout / "vendored").git_commit is None


def test_before_the_first_commit_there_is_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert provenance("cpu", tmp_path).git_commit is None


def test_versions_and_device_are_recorded(tmp_path: Path) -> None:
    meta = provenance("cpu (2 threads)", tmp_path)
    assert set(meta.versions) == {"python", *PACKAGES}
    assert meta.device == "cpu (2 threads)"
