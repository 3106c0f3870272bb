"""`fetch`, `train` and `evaluate` by their commands, on a fake of every layout, with the tiny model."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from benchmark.data.samples import load_dataset
from benchmark.datasets import DATASETS
from experiments import evaluate, fetch, train
from tests.layouts import COLOURS, LAYOUTS
from tests.newer_layouts import write_lines
from tests.tiny import _SAM, _clip, write_foundation

OWN: dict[str, Any] = {"licence": "CC0-1.0", "citation": "nobody, never", "min_area": 0.002, "per_image": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "refsegrs": {"allow_count_mismatch": True},
    "rrsisd": {"allow_count_mismatch": True},
    "risbench": {"allow_count_mismatch": True},
    "rrsishr": {"allow_count_mismatch": True},
    "nwpurefer": {},
    "aeriald": {"per_target": 1},
    "vhr10": {"allow_count_mismatch": True},
    "coco": {"kind": "coco", "patch": None, "multiple": 1, "absent": 1, **OWN},
    "masks": {"kind": "masks", "patch": 64, "classes": COLOURS, **OWN},
}
TRAIN = {
    "epochs": 1,
    "step_of": "images",
    "batch_size": 4,
    "expressions_per_image": 2,
    "lr": 1e-3,
    "warmup_epochs": 0,
    "warmup_start": 0,
    "cosine": "per_step",
    "final_lr_ratio": 0.1,
    "weight_decay": 0,
    "clip_norm": 1.0,
    "loss": {"bce": 1, "dice": 1},
    "label_side": None,
    "select": "best",
    "threads": 1,
    "augment": [],
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fakes of all layouts under raw/, params.yaml, and the foundation weights of the tiny model."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in SETTINGS:
        LAYOUTS[name](folder / "raw" / name, 2, 96)
    write_foundation(folder / "weights" / "mini")
    params = {
        "run": {"datasets": [*SETTINGS], "models": ["mini"], "variants": ["rsrefseg"], "controls": [], "seeds": [0]},
        "datasets": {name: {"root": f"raw/{name}", **own} for name, own in SETTINGS.items()},
        "models": {"mini": {"clip": _clip("siglip"), "sam": _SAM}},
        "variants": {"rsrefseg": {}},
        "train": TRAIN,
        "evaluate": {"batch_images": 2},
        "loader": {"workers": 2},
        "foundation": {},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


@pytest.fixture(autouse=True)
def _fakes_have_other_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = DATASETS["vhr10"]
    assert entry.spec is not None
    files = tuple(file.model_copy(update={"sha256": None, "md5": None}) for file in entry.spec.files)
    monkeypatch.setitem(DATASETS, "vhr10", entry._replace(spec=entry.spec.model_copy(update={"files": files})))


@pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads few words
@pytest.mark.parametrize("name", SETTINGS)
def test_every_layout_is_fetched_trained_on_and_measured(
    workplace: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    fetch.main(dataset=name)
    said = capsys.readouterr().out
    assert f"-> data/{name}" in said
    assert ("100.0% with a category" in said) == (name != "nwpurefer")  # of nothing there is no category
    spec = DATASETS[name].spec if name in DATASETS else None
    assert said.count(f"{name}: not confirmed: ") == (len(spec.unconfirmed) if spec is not None else 0)
    train.main(dataset=name, model="mini", variant="rsrefseg", seed=0)
    evaluate.main(dataset=name, model="mini", variant="rsrefseg", seed=0)
    folder = Path("results") / name / "mini" / "rsrefseg" / "0"
    result = json.loads((folder / "result.json").read_text())
    lines = pd.read_parquet(folder / "samples.parquet")
    samples = load_dataset(Path("data") / name, Path("raw") / name).split("test")
    assert lines["sample_id"].tolist() == samples["sample_id"].tolist()
    assert lines["mask_area"].tolist() == samples["mask_area"].tolist()
    assert result["data"]["counts"]["test"]["samples"] == len(samples)
    metrics = result["eval"]["test"]["metrics"]
    assert ("no_target_accuracy" in metrics) == (name in ("coco", "nwpurefer"))
    assert (samples["mask_area"] == 0).any() == (name in ("coco", "nwpurefer"))


def test_fetching_twice_gives_the_same_bytes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    folder = Path("data/risbench")
    fetch.main(dataset="risbench")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    fetch.main(dataset="risbench", offline=True)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_out_is_said(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    fetch.main(dataset="masks")
    assert re.search(r"masks: [\d,]+ pixels of 6 images have colours that are not listed: #", capsys.readouterr().out)
    fetch.main(dataset="coco")
    said = capsys.readouterr().out
    assert re.search(r"coco: \d+ of \d+ instances are no sample of any patch", said)
    assert re.search(r"coco: \d+ of \d+ instances are crowds \(iscrowd: 1\) and have no sentence", said)


def test_json_lines_need_the_images_alone_and_resized_ones_are_counted(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {"root": "raw/rrsisd", "allow_count_mismatch": True, "lines": "datainfo/rrsisd_{split}.jsonl"}
    edit_params(workplace, tmp_path, monkeypatch, rrsisd=lines)
    write_lines("rrsisd", Path("raw/rrsisd"))
    shutil.rmtree("raw/rrsisd/rrsisd")
    fetch.main(dataset="rrsisd", offline=True)
    assert (
        "rrsisd: 2 images have another size than their masks and are resized to it (height x width): "
        "images/rrsisd/JPEGImages/00004.jpg 97x96 -> 96x96, images/rrsisd/JPEGImages/00006.jpg 94x96 -> 96x96"
    ) in " ".join(capsys.readouterr().out.split())
    shutil.rmtree("raw/rrsisd/images")
    said = error(capsys, dataset="rrsisd", offline=True)
    assert "rrsisd needs JPEGImages.zip: --offline" in said
    assert "instances.json" not in said.split("The files, and where they go:")[1]


def error(capsys: pytest.CaptureFixture[str], **arguments: Any) -> str:
    with pytest.raises(SystemExit) as caught:
        fetch.main(**arguments)
    assert caught.value.code == 1
    return capsys.readouterr().err


def edit_params(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **datasets: Any) -> None:
    params = yaml.safe_load((workplace / "params.yaml").read_text())
    params["datasets"] |= datasets
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    if not (tmp_path / "raw").exists():
        shutil.copytree(workplace / "raw", tmp_path / "raw")
    monkeypatch.chdir(tmp_path)


def test_counts_are_checked_unless_the_flag_allows_others(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_params(workplace, tmp_path, monkeypatch, refsegrs={"root": "raw/refsegrs"})
    said = error(capsys, dataset="refsegrs")
    assert "declared are 2,172" in said
    assert not Path("data/refsegrs").exists()
    fetch.main(dataset="refsegrs", allow_count_mismatch=True)
    assert Path("data/refsegrs/manifest.json").is_file()


def test_settings_that_cannot_be_used_are_named(
    subtests: pytest.Subtests,
    workplace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults: list[tuple[str, dict[str, Any], str]] = [
        (
            "mine",
            {"root": "raw/coco"},
            "unknown name 'mine'.*say what kind of files it has: datasets.mine.kind: coco or",
        ),
        ("risbnch", {"root": "raw/risbench"}, "unknown name 'risbnch'; did you mean 'risbench'"),
        ("mine", {"kind": "voc", "root": "x"}, "datasets.mine.kind = 'voc': unknown; known: coco, geo, masks"),
        ("mine", {"kind": "cocoo", "root": "x"}, "did you mean 'coco'"),
        ("risbench", {"kind": "coco", "root": "x"}, "risbench has its own files; leave kind out"),
        ("../mine", {"kind": "coco", "root": "x"}, "'../mine': cannot name a folder"),
        ("coco", {"kind": "coco", "root": "raw/coco"}, "licence: missing; add it"),
        ("refsegrs", {"rot": "x"}, "rot: unknown key; did you mean 'root'"),
        ("refsegrs", {"root": "elsewhere", "allow_count_mismatch": True}, "refsegrs needs RefSegRS.zip: --offline"),
        ("vhr10", {"root": "elsewhere"}, "vhr10 needs NWPU VHR-10 dataset.zip: --offline.*torchgeo/vhr10"),
        ("risbench", {"root": "elsewhere"}, "risbench needs RISBench.zip: it can be got by hand only"),
        ("rrsishr", {"root": "elsewhere"}, r"rrsishr needs refs\(unc\).p: it can be got by hand only"),
        ("nwpurefer", {"root": "elsewhere"}, r"nwpurefer needs new_refs\(unc\).p: it can be got by hand only"),
        ("nwpurefer", {"language": "latin"}, "language = 'latin'|language: "),
        ("aeriald", {"root": "elsewhere"}, "aeriald needs aeriald.zip: --offline.*luisml77/aerial-d"),
        (
            "coco",
            {"kind": "coco", "root": "elsewhere", **OWN},
            "elsewhere/annotations/instances_train.json does not exist",
        ),
        (
            "masks",
            {"kind": "masks", "root": "elsewhere", "classes": COLOURS, **OWN},
            "elsewhere does not exist: it needs",
        ),
    ]
    for name, own, message in faults:
        with subtests.test(msg=f"{name}: {own}"):
            edit_params(workplace, tmp_path, monkeypatch, **{name: own})
            said = error(capsys, dataset=name, offline=True)
            assert re.search(message, said, re.DOTALL), said
            assert not list(Path("data").glob("*"))


def test_counts_may_be_allowed_only_where_some_are_published(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert "masks has no published counts" in error(capsys, dataset="masks", allow_count_mismatch=True)
    assert "unknown dataset 'refsegr'; did you mean 'refsegrs'" in error(capsys, dataset="refsegr")


def test_a_run_on_images_that_went_away_says_where_they_should_be(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_params(workplace, tmp_path, monkeypatch)
    fetch.main(dataset="risbench")
    shutil.rmtree("raw/risbench")
    with pytest.raises(SystemExit):
        train.main(dataset="risbench", model="mini", variant="rsrefseg", seed=0)
    assert "raw/risbench does not exist; the images of data/risbench stay where they were" in capsys.readouterr().err
