"""`make repro` begins with this check: DVC deletes a stage's outputs before the stage could complain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments import check

ROOT = Path(__file__).parents[2]


def checked(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.chdir(folder)
    check.main()


def test_the_committed_params_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    check.main()
    assert "5 runs and 3 controls" in capsys.readouterr().out


def test_a_fault_is_named_before_anything_runs(
    subtests: pytest.Subtests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new, message in (
        ("local_only, no_dense", "local_onyl, no_dense", "did you mean 'local_only'"),
        ("seeds: [0]", "seeds: []", "run.seeds = []"),
        ("seeds: [0]", "seeds: [-1]", "run.seeds.0 = -1"),
        ("per_image: 5", "per_imag: 5", "did you mean 'per_image'"),
        ("foundation:\n  mini:", "foundation:\n  rsrefseg-b-x:", "did you mean 'rsrefseg-b'"),
        ("models: [mini]", "models: [rsrefseg-b-clop]", "did you mean 'rsrefseg-b-clip'"),
        ("rsrefseg: {}", "rsrefseg: {}\n  whole_image: {}", "a control has this name"),
        ("    clip: {}\n", "", "models.mini has no clip; write `clip: {}`"),
    ):
        with subtests.test(msg=new):
            with pytest.raises(SystemExit, match="1"):
                checked(tmp_path, monkeypatch, old, new)
            assert message in " ".join(capsys.readouterr().err.split())


def test_a_model_without_foundation_weights_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    start = text.index("  mini:", text.index("foundation:"))
    end = text.index("  rsrefseg-b:", start)
    with pytest.raises(SystemExit, match="1"):
        checked(tmp_path, monkeypatch, text[start:end], "")
    assert "unknown foundation 'mini'" in capsys.readouterr().err
