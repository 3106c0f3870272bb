"""What a person sees when a command cannot do what it was asked: one message, exit status 1, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.datasets.synthetic import SyntheticConfig, build
from experiments import evaluate, fetch, train
from tests.tiny import write_foundation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and nothing else."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def failed(capsys: pytest.CaptureFixture[str]) -> str:
    """The message, its line breaks undone."""
    return " ".join(capsys.readouterr().err.split())


def test_an_unknown_variant_names_the_nearest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        train.main("synthetic", "mini", "global_onyl", 0)
    assert "unknown variant 'global_onyl'; did you mean 'global_only'?" in failed(capsys)


def test_an_unknown_key_in_params_is_named_with_its_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(
        text.replace("\n  weight_decay: 0.05\n", "\n  weight_decy: 0.05\n"), encoding="utf-8"
    )
    with pytest.raises(SystemExit, match="1"):
        train.main("synthetic", "mini", "rsrefseg", 0)
    message = failed(capsys)
    assert "params.yaml" in message
    assert "train.weight_decy: unknown key; did you mean 'weight_decay'?" in message


def test_data_laid_by_hand_that_dvc_s_copy_lacks_says_which_path_to_give(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`dvc exp run --temp` and `--queue`: instead of asking to download what is there."""
    copy = project / "here" / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    shutil.copy(project / "params.yaml", copy)
    there = project / "shared" / "data" / "dubai_aerial"
    there.mkdir(parents=True)
    monkeypatch.chdir(copy)
    with pytest.raises(SystemExit, match="1"):
        fetch.main("dubai")
    said = failed(capsys)
    assert f"dvc exp run -S 'datasets.dubai.root={there}', or run without --temp and --queue" in said
    assert "download" not in said


def test_training_before_fetching_says_how_to_fetch(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        train.main("synthetic", "mini", "rsrefseg", 0)
    assert "experiments.fetch --dataset synthetic" in failed(capsys)
    assert files(project) == {Path("params.yaml")}


def test_missing_foundation_weights_say_how_to_make_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(project / "data" / "synthetic", SyntheticConfig(train=1, val=1, test=1, side=64))
    before = files(project)
    with pytest.raises(SystemExit, match="1"):
        train.main("synthetic", "mini", "rsrefseg", 0)
    message = failed(capsys)
    assert "weights/mini" in message
    assert "python -m experiments.foundation" in message
    assert files(project) == before


def test_evaluating_before_training_says_how_to_train(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(project / "data" / "synthetic", SyntheticConfig(train=1, val=1, test=1, side=64))
    write_foundation(project / "weights" / "mini")
    before = files(project)
    with pytest.raises(SystemExit, match="1"):
        evaluate.main("synthetic", "mini", "rsrefseg", 0)
    assert "dvc repro train@synthetic-mini-rsrefseg-0" in failed(capsys)
    assert files(project) == before


def test_an_absent_dubai_folder_says_what_to_download(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(
        text.replace("../shared/data/dubai_aerial", "no/such/folder"), encoding="utf-8"
    )
    with pytest.raises(SystemExit, match="1"):
        fetch.main("dubai")
    message = failed(capsys)
    assert "no/such/folder does not exist" in message
    assert "CC0" in message
    assert "Semantic segmentation of aerial imagery" in message
    assert files(project) == {Path("params.yaml"), Path("data")}
