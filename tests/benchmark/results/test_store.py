from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.metrics.iou import BOUNDARY, METRIC_NAMES, summary
from benchmark.results import store as results
from benchmark.results.store import ResultError, find_results, load_result, save_result

RUN = Path("results/fake_scenes/tiny/rsrefseg/0")


@pytest.fixture
def stored(fake_results: Path) -> results.StoredResult:
    return load_result(fake_results / RUN)


@pytest.fixture
def copy(fake_results: Path, tmp_path: Path) -> Path:
    """A results folder that a test may spoil."""
    return Path(shutil.copytree(fake_results / "results", tmp_path / "results"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_result_read_and_written_again_is_the_same_bytes(
    stored: results.StoredResult, fake_results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again" / "0"
    save_result(folder, stored.result, stored.lines, stored.curve, stored.predictions, stored.sweep)
    assert files(folder) == files(fake_results / RUN)
    again = load_result(folder)
    assert again.result == stored.result
    pd.testing.assert_frame_equal(again.lines, stored.lines)
    assert again.curve is not None
    pd.testing.assert_frame_equal(again.curve, stored.curve)
    pd.testing.assert_frame_equal(again.predictions, stored.predictions)


def test_result_json_has_sorted_keys_and_no_time_of_day(fake_results: Path) -> None:
    text = (fake_results / RUN / "result.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert not any(word in text for word in ("time_stamp", "timestamp", "date", str(fake_results)))


def test_metrics_are_rounded_to_six_decimals_and_written_by_themselves(stored: results.StoredResult) -> None:
    metrics = json.loads((stored.folder / "metrics.json").read_text())
    assert metrics == stored.metrics == {name: round(value, 6) for name, value in summary(stored.lines).items()}
    assert set(metrics) == {*METRIC_NAMES, BOUNDARY}


def test_saving_replaces_the_old_result_and_leaves_nothing_else(stored: results.StoredResult, tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "old.txt").write_text("left over")
    save_result(folder, stored.result, stored.lines, None, stored.predictions)
    expected = {"result.json", "metrics.json", "samples.parquet", "sweep.parquet", "predictions.parquet"}
    assert set(files(tmp_path)) == {f"0/{name}" for name in expected}
    assert load_result(folder).curve is None


def test_masks_that_are_incomplete_repeated_or_none_are_refused(
    stored: results.StoredResult, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    folder = tmp_path / "0"
    save_result(folder, stored.result, stored.lines, stored.curve, stored.predictions)
    masks = stored.predictions
    numbers = masks.assign(prediction=range(len(masks)))
    for name, table, message in (
        ("incomplete", masks.iloc[:-1], "rows for 24 samples; each has one"),
        ("repeated", pd.concat([masks, masks.iloc[:1]]), "25 rows for 24 samples"),
        ("null", masks.assign(prediction=None), "is no compressed run-length code"),
        ("numbers", numbers, "predictions.parquet"),
        ("of another sample", masks.assign(prediction=masks["prediction"].iloc[::-1].tolist()), "predicted_area"),
    ):
        table.to_parquet(folder / "predictions.parquet", index=False)
        with subtests.test(msg=name), pytest.raises(ResultError, match=message):
            load_result(folder)
    masks.iloc[:6].to_parquet(folder / "predictions.parquet", index=False)  # as before all were kept
    assert len(load_result(folder).predictions) == 6


def test_a_failed_save_leaves_nothing_half_written(stored: results.StoredResult, tmp_path: Path) -> None:
    assert stored.curve is not None
    with pytest.raises(ResultError, match="columns"):
        save_result(tmp_path / "0", stored.result, stored.lines, stored.curve[["step"]], stored.predictions)
    with pytest.raises(ResultError, match="miou"):
        save_result(tmp_path / "0", stored.result, stored.lines.iloc[1:], stored.curve, stored.predictions.iloc[1:])
    with pytest.raises(ResultError, match=r"predictions\.parquet is not of the samples of samples\.parquet"):
        save_result(tmp_path / "0", stored.result, stored.lines, stored.curve, stored.predictions.iloc[:6])
    other = stored.predictions.assign(prediction=stored.predictions["prediction"].iloc[::-1].tolist())
    with pytest.raises(ResultError, match=r"pixels in predictions\.parquet and predicted_area"):
        save_result(tmp_path / "0", stored.result, stored.lines, stored.curve, other)
    with pytest.raises(ResultError, match=r"predictions\.parquet has the columns"):
        save_result(tmp_path / "0", stored.result, stored.lines, stored.curve, stored.lines)
    assert list(tmp_path.iterdir()) == []


BAD: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(mood="good"), r"result\.json, field mood: Extra inputs"),
    (lambda d: d["run"].update(variant_name="x"), r"field run\.variant_name: Extra"),
    (lambda d: d["train"].pop("steps"), r"field train\.steps: Field required"),
    (lambda d: d["run"].update(seed=-1), r"field run\.seed"),
    (lambda d: d["run"].update(variant="../x"), r"field run\.variant"),
    (lambda d: d["eval"]["test"]["metrics"].update(miou=1.5), r"field eval\.test\.metrics\.miou"),
    (lambda d: d["eval"]["test"]["metrics"].update(giou=0.5), r"eval\.test\.metrics names.*giou"),
    (lambda d: d["eval"]["test"]["metrics"].pop("oiou"), r"eval\.test\.metrics names"),
    (lambda d: d["eval"]["test"]["metrics"].update(oiou=0.123), r"oiou is 0\.123, samples\.parquet gives"),
    (lambda d: d["eval"]["test"].update(samples=3), r"samples is 3, samples\.parquet gives 24"),
    (lambda d: d["eval"].update(val=d["eval"].pop("test")), "no evaluation of the 'test' split"),
    (lambda d: d.update(protocol_version="2.0"), r"protocol 2\.0, this code reads protocol 1\.0"),
    (lambda d: d.update(protocol_version="2.0", new="field"), r"protocol 2\.0"),
    (lambda d: d.pop("protocol_version"), "is not a result"),
    (lambda d: d.update(collapse={"kind": "empty", "share": 1}), r"says collapse is .*'empty'.*its tables give None"),
    (lambda d: d.update(collapse={"kind": "sad", "share": 1}), r"field collapse\.kind"),
    (lambda d: d.update(collapse={"kind": "empty", "share": 0.5}), r"field collapse\.share"),
]


def test_a_collapse_is_stored_and_one_that_is_not_stated_is_found(
    copy: Path, fake_result: Callable[..., None], fake_results: Path
) -> None:
    folder = copy.parent / RUN
    made = (copy, fake_results / "data" / "fake_scenes", "fake_scenes", "tiny", "rsrefseg", 0, -1.0, False, 60)
    fake_result(*made)
    stated = {"kind": "empty", "share": 1.0}
    assert json.loads((folder / "result.json").read_text())["collapse"] == stated
    edit(folder / "result.json", lambda d: d.update(collapse=None))
    with pytest.raises(ResultError, match="says collapse is None, its tables give"):
        load_result(folder)
    edit(folder / "result.json", lambda d: d.pop("collapse"))  # as before there was one
    found = load_result(folder)
    assert found.result.collapse is not None
    assert (found.result.collapse.model_dump(), found.collapsed) == (stated, "empty")


def test_a_control_cannot_collapse_and_of_masks_that_were_not_kept_it_is_unknown(copy: Path) -> None:
    whole = load_result(copy / "fake_scenes" / "tiny" / "whole_image" / "0")  # every mask is full
    assert (whole.result.collapse, whole.collapsed) == (None, "no")
    folder = copy.parent / RUN
    assert load_result(folder).collapsed == "no"
    pd.read_parquet(folder / "predictions.parquet").iloc[:6].to_parquet(folder / "predictions.parquet", index=False)
    assert load_result(folder).collapsed == "unknown"


def test_a_curve_from_before_collapses_were_noted_is_read(copy: Path) -> None:
    path = copy.parent / RUN / "curve.csv"
    curve = results.load_curve(path)
    assert curve["collapsed"].dropna().tolist() == ["no"] * 3
    curve.drop(columns="collapsed").to_csv(path, index=False)
    old = results.load_curve(path)
    assert tuple(old.columns) == results.CURVE_COLUMNS
    assert old["collapsed"].isna().all()
    results.save_curve(path, old)
    assert results.load_curve(path)["collapsed"].isna().all()


def test_a_result_that_cannot_be_right_is_refused(copy: Path, subtests: pytest.Subtests) -> None:
    folder = copy.parent / RUN
    good = (folder / "result.json").read_bytes()
    for change, message in BAD:
        with subtests.test(message):
            (folder / "result.json").write_bytes(good)
            edit(folder / "result.json", change)
            with pytest.raises(ResultError, match=message) as caught:
                load_result(folder)
            assert str(folder) in str(caught.value)


def test_a_later_minor_version_is_read(copy: Path) -> None:
    edit(copy.parent / RUN / "result.json", lambda d: d.update(protocol_version="1.7"))
    assert load_result(copy.parent / RUN).result.protocol_version == "1.7"


def test_truncated_files_are_named(copy: Path) -> None:
    folder = copy.parent / RUN
    for name in ("samples.parquet", "result.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ResultError, match=name):
            load_result(folder)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions\.parquet is missing"):
        load_result(folder)


def test_results_are_found_in_order(fake_results: Path) -> None:
    found = find_results(fake_results / "results")
    keys = [results.run_key(one.result.run) for one in found]
    assert keys == sorted(keys)
    assert len(keys) == 8
    assert find_results(fake_results / "no_such_folder") == []


def test_a_result_in_another_runs_folder_is_refused(copy: Path) -> None:
    shutil.copytree(copy.parent / RUN, copy / "fake_scenes" / "tiny" / "rsrefseg" / "7")
    with pytest.raises(ResultError, match=r"rsrefseg.7.result\.json says it belongs in .*rsrefseg.0"):
        find_results(copy)


def test_a_result_being_written_is_not_found(copy: Path) -> None:
    (copy.parent / RUN).rename((copy.parent / RUN).with_name(".0.partial"))
    assert len(find_results(copy)) == 7


def test_configuration_keeps_its_digits(stored: results.StoredResult, tmp_path: Path) -> None:
    config = {"train": {"lr": 1.2345678901e-7}, "lora": None}
    run = stored.result.run.model_copy(update={"config": config})
    result = stored.result.model_copy(update={"run": run})
    save_result(tmp_path / "0", result, stored.lines, None, stored.predictions)
    assert load_result(tmp_path / "0").result.run.config == config


def test_controls_have_no_selection_and_trained_runs_have_one(fake_results: Path) -> None:
    for one in find_results(fake_results / "results"):
        train = one.result.train
        selection = (train.selection_metric, train.selection_split, train.best_epoch, train.best_value)
        assert all(part is None for part in selection) == one.result.run.control
