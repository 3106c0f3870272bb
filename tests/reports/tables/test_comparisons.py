"""Tables that set methods side by side, against the functions they print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.metrics.permutation import holm, permutation_p
from benchmark.metrics.protocols import PROTOCOLS, summary_under
from benchmark.metrics.statistics import paired_difference
from benchmark.results.store import ResultError
from reports.groups import Group
from reports.load import load_report
from reports.report import Report
from reports.tables.breakdowns import breakdown_tables
from reports.tables.comparisons import ablation_table, calibration_table, cost_table, protocols_table
from reports.tables.published import PUBLISHED, published_table
from reports.tables.rendering import Table

OTHERS = ["no_lora", "global_only", "local_only", "no_dense_prompt"]


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")


@pytest.fixture(scope="module")
def group(fake_place: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Group:
    """Three seeds, twelve images."""
    (found,) = read(fake_place(tmp_path_factory.mktemp("three"), seeds=(0, 1, 2), images=12)).groups
    return found


def row(table: Table | None, *names: str) -> list[str]:
    assert table is not None
    return next(
        [cell.text for cell in cells] for cells in table.rows if tuple(c.text for c in cells[: len(names)]) == names
    )


def test_the_ablation_is_paired_over_seeds_and_corrected_over_the_table(group: Group) -> None:
    table = ablation_table(group)
    assert table is not None
    assert [cells[0].text for cells in table.rows] == ["rsrefseg", *OTHERS]
    methods = {method.name: method for method in group.methods}
    raw = [permutation_p(methods[name].lines, methods["rsrefseg"].lines) for name in OTHERS]
    for name, p, adjusted in zip(OTHERS, raw, holm(raw), strict=True):
        numbers = table.numbers.set_index("variant").loc[name]
        expected = paired_difference(methods[name].lines, methods["rsrefseg"].lines, over_seeds=True)
        assert numbers[["miou", "miou_low", "miou_high"]].tolist() == [round(100 * value, 2) for value in expected]
        assert (numbers["p"], numbers["p_holm"]) == (round(p, 5), round(adjusted, 5))
        clear = adjusted < 0.05 and not expected[1] <= 0 <= expected[2]
        mark = ("better" if expected[0] > 0 else "worse") if clear else "open"
        assert row(table, name)[-1] == numbers["mark"] == mark
    assert "worse" in set(table.numbers["mark"])
    assert "bootstrap over seeds and images" in table.notes[0]
    assert "±" not in table.notes[0]


def test_without_the_full_model_there_is_no_ablation_and_a_missing_variant_is_a_dash(group: Group) -> None:
    without = replace(group, methods=tuple(method for method in group.methods if method.name != "rsrefseg"))
    assert ablation_table(without) is None
    gap = tuple(replace(method, results=()) if method.name == "no_lora" else method for method in group.methods)
    table = ablation_table(replace(group, methods=gap))
    assert row(table, "no_lora")[1:] == ["–"] * 7
    assert table is not None
    assert table.numbers.set_index("variant").loc["no_lora"].isna().all()


def test_every_protocol_is_a_row_of_every_method(group: Group) -> None:
    table = protocols_table(group)
    assert table is not None
    assert len(table.rows) == len(PROTOCOLS) * len(group.methods)
    lines = {method.name: method.lines for method in group.methods}
    for name in ("rsrefseg", "whole_image"):
        for protocol in PROTOCOLS.values():
            found = [summary_under(one, protocol) for one in lines[name]]
            mean = np.mean([values["miou"] for values in found if values is not None])
            assert float(row(table, name, protocol.title)[2]) == pytest.approx(100 * mean, abs=0.005)


def test_what_was_not_measured_at_480_is_a_dash_and_an_empty_union_is_0_over_0(
    group: Group, fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    (method, *_) = group.present
    bare = tuple(
        replace(one, lines=one.lines.drop(columns=["intersection_480", "union_480"])) for one in method.results
    )
    table = protocols_table(replace(group, methods=(replace(method, results=bare),)))
    assert row(table, method.name, PROTOCOLS["lavt_480"].title)[2:] == ["–"] * 7
    assert "–" not in row(table, method.name, PROTOCOLS["lavt"].title)
    nothing = tuple(
        replace(one, lines=one.lines.assign(**dict.fromkeys(("mask_area", "intersection", "union"), 0)))
        for one in method.results
    )
    table = protocols_table(replace(group, methods=(replace(method, results=nothing),)))
    assert row(table, method.name, PROTOCOLS["rsrefseg"].title)[2:4] == ["0/0", "0/0"]
    assert table is not None
    assert pd.isna(table.numbers.set_index("protocol").loc["rsrefseg", "miou"])


def test_cost_and_calibration(group: Group) -> None:
    table = cost_table(group)
    test = group.methods[0].results[0].result.eval["test"]
    assert row(table, "rsrefseg")[1:] == [
        "0.35 M", "2.35 M", "3", "60", "1 min 12 s", "512", f"{test.images / 0.5:.1f}",
    ]  # fmt: skip
    calibrated = calibration_table(group)
    assert calibrated is not None
    assert [cells[0].text for cells in calibrated.rows] == [method.name for method in group.methods]
    assert set(row(calibrated, "whole_image")[1:]) == {"–"}  # it gives no probability
    for name, *values in ([cell.text for cell in cells] for cells in calibrated.rows):
        if name == "whole_image":
            continue
        metrics = next(method.metrics for method in group.methods if method.name == name)
        assert float(values[4]) == pytest.approx(100 * metrics["miou"], abs=0.006)  # at 0.5: the reported number
        assert float(values[-3]) in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def test_published_numbers_stand_beside_ours_and_say_what_they_are(group: Group, tmp_path: Path) -> None:
    assert published_table(group) is None
    table = published_table(replace(group, dataset="rrsisd"))
    assert table is not None
    assert row(table, "rsrefseg")[1] == "this run"
    methods = [(cells[0].text, cells[1].text) for cells in table.rows[table.rule_before :]]
    file = pd.read_csv(PUBLISHED)
    assert len(methods) == ((file["dataset"] == "RRSIS-D") & (file["split"] != "val")).sum()
    assert any(method.startswith("RMSIN (FIANet") and "re-run by others" in mark for method, mark in methods)
    assert any(method == "RSRefSeg-b" and "split unclear" in mark for method, mark in methods)
    assert any("unchecked" in mark for _, mark in methods)
    cited = {mark.split("]")[0] + "]" for _, mark in methods}
    assert all(any(note.startswith(number) for note in table.notes) for number in cited)
    broken = tmp_path / "published.csv"
    file.drop(columns="rerun").to_csv(broken, index=False)
    with pytest.raises(ResultError, match=r"lacks the column\(s\) \['rerun'\]"):
        published_table(group, broken)


def test_the_published_file_is_whole() -> None:
    file = pd.read_csv(PUBLISHED)
    numbers = file.filter(regex="precision|iou")
    assert len(file) == 84
    assert file["source"].notna().all()
    assert ((numbers >= 0) & (numbers <= 100) | numbers.isna()).all(axis=None)


def test_breakdowns_count_every_sample_once_and_average_to_the_whole(group: Group) -> None:
    tables = {table.name: table for table in breakdown_tables(group)}
    assert list(tables) == ["by_category", "by_size", "by_words", "by_kind", "by_distractors"]
    samples = len(group.methods[0].lines[0])
    for table in tables.values():
        of_one = table.numbers[table.numbers["variant"] == "rsrefseg"]
        assert of_one["samples"].sum() == samples
        mean = (of_one["miou"] * of_one["samples"]).sum() / samples
        assert mean == pytest.approx(100 * group.methods[0].metrics["miou"], abs=0.02)
        assert (
            (table.numbers["low"] <= table.numbers["miou"]) & (table.numbers["miou"] <= table.numbers["high"])
        ).all()
        assert not any("whole_image" in name for name in table.header)
    small = [cells for cells in tables["by_size"].rows if int(cells[1].text.replace(",", "")) < 30]
    assert all(cell.text.startswith("(") for cells in small for cell in cells[2:])


def test_samples_without_strata_are_an_error(group: Group, tmp_path: Path) -> None:
    cut = tmp_path / "strata.parquet"
    pd.read_parquet(group.strata_path).iloc[1:].to_parquet(cut)
    with pytest.raises(ResultError, match="lacks sample"):
        breakdown_tables(replace(group, strata_path=cut))
