from __future__ import annotations

from pathlib import Path

import pytest

from experiments.preflight.paths import check_path, workspace_of
from experiments.settings import ConfigError

PLACE = "params.yaml: datasets.mine.root"


def test_a_path_that_nothing_expands_is_refused_with_what_it_means(
    subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA_ROOT", "/big")
    monkeypatch.delenv("NOT_SET", raising=False)
    for path, said in (
        ("~/data", "write the whole path, here /home/me/data"),
        ("$DATA_ROOT/x", "write the whole path, here /big/x"),
        ("${DATA_ROOT}/x", "write the whole path, here /big/x"),
        ("$NOT_SET/x", "variables are not expanded; write the whole path$"),
        ("%USERPROFILE%/x", "variables are not expanded"),
        ("", "empty; write where the files are"),
    ):
        with subtests.test(msg=path), pytest.raises(ConfigError, match=said) as raised:
            check_path(PLACE, path)
        assert str(raised.value).startswith(f"{PLACE} = {path!r}: ")


def test_other_paths_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("raw/mine", "../shared", "/data", "with space/a~b", "100%/x"):
        check_path(PLACE, path)


def test_a_root_that_is_not_in_dvc_s_copy_says_which_path_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` and `--queue` with data laid by hand under a git-ignored or relative root."""
    project = tmp_path / "project"
    copy = project / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    (project / "raw" / "mine").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    monkeypatch.chdir(copy)
    assert workspace_of(copy) == project
    for path, there in (("raw/mine", project / "raw" / "mine"), ("../shared", tmp_path / "shared")):
        with pytest.raises(ConfigError) as raised:
            check_path(PLACE, path)
        assert f"dvc exp run -S 'datasets.mine.root={there}'" in str(raised.value)
        assert "without --temp and --queue" in str(raised.value)
        assert "not there either" not in str(raised.value)
        check_path(PLACE, str(there))
    with pytest.raises(ConfigError, match="is not there either"):
        check_path(PLACE, "nowhere")
    (copy / "tracked").mkdir()
    check_path(PLACE, "tracked")
    assert workspace_of(project) is None
