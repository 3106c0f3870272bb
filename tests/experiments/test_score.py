"""Masks of outside models: measured as our own, or refused with nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data.samples import Dataset, SampleError, decode_mask, encode_mask, load_dataset
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details, measure
from benchmark.metrics.strata import save_strata
from benchmark.results.store import find_results, load_result
from benchmark.results.truth import save_examples
from benchmark.scoring import read_submission
from experiments import score
from reports.load import load_report
from reports.tables.comparisons import cost_table
from reports.tables.main import explain_outside, main_table
from tests.conftest import make_fake_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A folder with params.yaml and a fetched dataset that it knows."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    make_fake_dataset(tmp_path / "data" / "synthetic", 4)
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset(Path("data/synthetic"))
    save_examples(Path("results/synthetic/examples.parquet"), dataset, 4)
    save_strata(Path("results/synthetic/strata.parquet"), dataset.split("test"))
    return dataset


def answers(dataset: Dataset, split: str = "test") -> dict[str, np.ndarray]:
    """The truth, moved by a few pixels."""
    return {
        row["sample_id"]: np.roll(decode_mask(row["mask"], row["height"], row["width"]), 3, axis=0)
        for row in dataset.split(split).to_dict("records")
    }


def write_lines(path: Path, masks: dict[str, np.ndarray], key: str = "mask", plain: bool = False) -> Path:
    lines = []
    for name, mask in masks.items():
        counts: Any = encode_mask(mask)
        if plain:  # the runs down the columns, background first
            flat = mask.T.ravel()
            edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
            counts = ([0] if flat[0] else []) + np.diff([0, *edges, len(flat)]).tolist()
        lines.append(json.dumps({"sample_id": name, key: {"size": list(mask.shape), "counts": counts}}))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_folder(folder: Path, masks: dict[str, np.ndarray], value: int = 255) -> Path:
    folder.mkdir()
    for name, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * value).save(folder / f"{name}.png")
    return folder


def test_lines_and_folders_give_the_same(place: Dataset) -> None:
    masks = answers(place)
    found = [
        measure(place.split("test"), read_submission(place, "test", given), Details((480,)))
        for given in (
            write_lines(Path("a.jsonl"), masks),
            write_lines(Path("b.jsonl"), dict(reversed(masks.items())), key="segmentation", plain=True),
            write_folder(Path("c"), masks),
            write_folder(Path("d"), masks, value=1),
            write_folder(Path("e"), masks, value=254),
        )
    ]
    assert all(lines.equals(found[0]) for lines in found)
    assert found[0]["sample_id"].tolist() == place.split("test")["sample_id"].tolist()
    assert 0.3 < summary(found[0])["miou"] < 1


def test_a_scored_model_stands_in_the_tables_and_costs_are_not_known(
    place: Dataset, fake_runs: Callable[[Path, Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    score.main("synthetic", write_lines(Path("masks.jsonl"), answers(place)), "RMSIN (ours)")
    folder = Path("results/synthetic/outside/rmsin-ours/0")
    assert f"-> {folder}" in capsys.readouterr().out
    stored = load_result(folder)
    assert stored.result.run.outside == "RMSIN (ours)"
    assert stored.result.train.parameters_total is stored.result.eval["test"].seconds is None
    score.main("synthetic", Path("masks.jsonl"), "RMSIN (ours)")  # again: replaced by the same
    assert len(find_results(Path("results"))) == 1
    fake_runs(Path("results"), Path("runs.csv"))
    (group,) = load_report(Path("results"), Path("params.yaml"), Path("runs.csv")).groups
    table = explain_outside(main_table(group))
    cells = next(cells for cells in table.rows if cells[0].text == "RMSIN (ours) †")
    assert any(note.startswith("†: external submission; its masks were scored here") for note in table.notes)
    assert [cell.text for cell in cells[-3:]] == ["–", "–", "–"]
    assert not any(cell.bold for cell in cells)
    costs = cost_table(group)
    assert costs is not None
    assert any(cells[0].text == "RMSIN (ours) †" and cells[7].text == "–" for cells in costs.rows)


def test_two_names_with_one_folder_are_refused(place: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    masks = write_lines(Path("masks.jsonl"), answers(place))
    score.main("synthetic", masks, "RMSIN (ours)")
    with pytest.raises(SystemExit):
        score.main("synthetic", masks, "RMSIN ours")
    assert "already holds 'RMSIN (ours)'" in capsys.readouterr().err
    assert load_result(Path("results/synthetic/outside/rmsin-ours/0")).result.run.outside == "RMSIN (ours)"


def test_of_another_split_nothing_is_recorded(place: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    score.main("synthetic", write_lines(Path("val.jsonl"), answers(place, "val")), "RMSIN", "val")
    assert "not recorded" in capsys.readouterr().out
    assert find_results(Path("results")) == []


def test_faulty_lines_are_named_and_nothing_is_recorded(
    subtests: pytest.Subtests, place: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(Path("masks.jsonl"), answers(place))
    whole = path.read_text()
    faults: list[tuple[Callable[[str], str], str]] = [
        (lambda text: text.replace('"test_0_0"', '"nobody"'), "1 sample.* not in split 'test'.*'nobody'"),
        (lambda text: text.split("\n", 1)[1], r"1 of 12 samples .* no mask, for example 'test_0_0'"),
        (lambda text: text + text.split("\n", 1)[0] + "\n", r"line 13: sample 'test_0_0' is there already"),
        (lambda text: text.replace('"size": [64, ', '"size": [63, ', 1), r"line 1, sample 'test_0_0': .* 63x64"),
        (lambda text: text.replace("sample_id", "sample", 1), r"line 1: sample_id: Field required"),
        (lambda text: text.replace('"counts"', '"runs"', 1), r"line 1: mask.counts"),
        (lambda text: text.replace("{", "[", 1), "line 1 is not JSON"),
        (lambda text: text.replace('"mask"', '"mask": {}, "mask"', 1), "line 1 .*the key 'mask' is there twice"),
        (lambda text: "7\n" + text, "line 1: the line"),
        (lambda text: text.replace('"counts": "', '"counts": "~', 1), "line 1, sample 'test_0_0'"),
        (lambda text: "", "12 of 12 samples"),
    ]  # fmt: skip
    for spoil, message in faults:
        with subtests.test(msg=message):
            path.write_text(spoil(whole))
            with pytest.raises(SampleError, match=message):
                read_submission(place, "test", path)
            with pytest.raises(SystemExit):
                score.main("synthetic", path, "RMSIN")
            assert "masks.jsonl" in capsys.readouterr().err
            assert not Path("results/synthetic/outside").exists()


def test_faulty_folders_are_named(place: Dataset) -> None:
    masks = answers(place)
    folder = write_folder(Path("masks"), masks)

    def refused(message: str) -> None:
        with pytest.raises(SampleError, match=message):
            read_submission(place, "test", folder)

    one = folder / "test_0_0.png"
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64).astype(np.uint8)).save(one)
    refused("the values 1 and 2 besides 0; .*save it as 0 and 255")
    Image.fromarray(masks["test_0_0"].astype(np.uint8) + 254).save(one)
    refused("the values 254 and 255 and no 0")
    coloured = Image.fromarray(masks["test_0_0"].astype(np.uint8), "P")
    coloured.putpalette([255, 255, 255, 200, 0, 0])
    coloured.save(one)
    refused(r"the values \(200, 0, 0\) and 255 and no 0")
    Image.fromarray(masks["test_0_0"][:-1].astype(np.uint8)).save(one)
    refused("is 63x64 .*its image 64x64")
    one.write_bytes(b"no image")
    refused(r"test_0_0\.png is no PNG")
    one.unlink()
    refused("no mask, for example 'test_0_0'")
    (folder / "._test_0_1.png").write_bytes(b"\0\5\x16\7")  # a Mac's; ignored
    for name in ("test_0_0.PNG", "test_0_0.png"):
        Image.fromarray(masks["test_0_0"].astype(np.uint8) * 255).save(folder / name, "PNG")
    refused(r"test_0_0\.png: sample 'test_0_0' is there already")
    (folder / "test_0_0.PNG").unlink()
    (folder / "notes.txt").write_text("x")
    refused(r"notes\.txt is no PNG")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read_submission(place, "test", Path("nowhere"))


def test_wrong_options_are_clear(subtests: pytest.Subtests, place: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    usual = {"dataset": "synthetic", "predictions": write_lines(Path("masks.jsonl"), answers(place)), "name": "RMSIN"}
    faults: list[tuple[dict[str, str], str]] = [
        ({"split": "testing"}, "choose one of train, val, test"),
        ({"name": "模型"}, "no letter or digit"),
        ({"name": "a" * 41}, "give up to 40 letters, digits, spaces"),
        ({"name": r"a $\frac b$"}, "give up to 40 letters, digits, spaces"),  # a formula to figures
        ({"name": "<b>a</b>"}, "give up to 40 letters, digits, spaces"),
        ({"name": "a|b"}, "give up to 40 letters, digits, spaces"),
        ({"dataset": "rrsisd"}, "rrsisd"),
        ({"dataset": "nothing"}, "nothing"),
    ]
    for options, message in faults:
        with subtests.test(msg=str(options)):
            with pytest.raises(SystemExit):
                score.main(**{**usual, **options})  # type: ignore[arg-type]
            assert message in " ".join(capsys.readouterr().err.split())
            assert not Path("results/synthetic/outside").exists()


def test_masks_whose_object_is_0_are_recorded_as_they_are_and_told(
    place: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = {row["sample_id"]: decode_mask(row["mask"], row["height"], row["width"])
             for row in place.split("test").to_dict("records")}  # fmt: skip
    write_lines(Path("a.jsonl"), {name: ~mask for name, mask in masks.items()})
    score.main("synthetic", Path("a.jsonl"), "inverted")
    said = capsys.readouterr().out
    assert "test mIoU 0.0000" in said
    assert (
        "with object and background interchanged the masks would have mIoU 1.0000: is 0 the object in a.jsonl?" in said
    )
    for name, mask in (("true", masks), ("nothing", {name: mask & False for name, mask in masks.items()})):
        score.main("synthetic", write_lines(Path("b.jsonl"), mask), name)
        assert "interchanged" not in capsys.readouterr().out
