from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.metrics.iou import BOUNDARY, METRIC_NAMES
from benchmark.metrics.statistics import bootstrap_interval, paired_difference
from benchmark.output import escaping
from reports.load import load_report
from reports.report import Report
from reports.tables.main import controls_table, main_table, provenance_table
from reports.tables.rendering import Table, latex, markdown, save
from reports.writing import make_tables


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")


@pytest.fixture(scope="module")
def report(fake_results: Path) -> Report:
    return read(fake_results)


@pytest.fixture(scope="module")
def gappy(
    fake_place: Callable[..., Path],
    fake_runs: Callable[[Path, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Report:
    """Two seeds; local_only has none, no_lora only one."""
    root = fake_place(tmp_path_factory.mktemp("gappy"), seeds=(0, 1), images=3)
    shutil.rmtree(root / "results/fake_scenes/tiny/local_only")
    shutil.rmtree(root / "results/fake_scenes/tiny/no_lora/0")
    fake_runs(root / "results", root / "reports/generated/runs.csv")
    return read(root)


def row(table: Table, name: str) -> list[str]:
    return next([cell.text for cell in cells] for cells in table.rows if cells[0].text == name)


def all_tables(report: Report) -> list[Table]:
    (tables,) = make_tables(report).values()
    return [*tables, provenance_table(report)]


def test_the_main_table_has_every_method_metric_and_cost(report: Report) -> None:
    (group,) = report.groups
    table = main_table(group)
    assert [cells[0].text for cells in table.rows] == [method.name for method in group.methods]
    for method in group.methods:
        cells = row(table, method.name)
        shares = [100 * method.metrics[name] for name in (*METRIC_NAMES, BOUNDARY)]
        assert [float(text.split()[0]) for text in cells[1:9]] == pytest.approx(shares, abs=0.005)
        low, high = (float(text) for text in re.findall(r"[\d.]+", cells[1])[1:])
        assert low <= 100 * method.metrics["miou"] <= high
    assert row(table, "rsrefseg")[9:] == ["0.35 M", "2.35 M", "1 min 12 s"]
    assert row(table, "whole_image")[9:] == ["0", "2.35 M", "0"]


def test_what_is_not_there_has_a_column_of_its_own_and_moves_no_other(
    fake_place: Callable[..., Path],
    fake_runs: Callable[[Path, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
    report: Report,
) -> None:
    root = fake_place(tmp_path_factory.mktemp("absent"), images=3, absent=2)
    fake_runs(root / "results", root / "reports/generated/runs.csv")
    table = main_table(read(root).groups[0])
    place = table.header.index("N-acc")
    assert place == table.header.index("BIoU") + 1
    assert all(0 <= float(cells[place].text) <= 100 for cells in table.rows)
    assert any(note.startswith("N-acc: share of the no-target samples") for note in table.notes)
    usual = main_table(report.groups[0])
    assert "N-acc" not in usual.header
    assert not any("N-acc" in note for note in usual.notes)


def test_intervals_over_several_seeds_are_over_the_seeds_too(gappy: Report) -> None:
    method = gappy.groups[0].trained[0]
    assert len(method.lines) == 2
    found = gappy.groups[0].intervals[method.key]["miou"]
    assert found == bootstrap_interval(method.lines, over_seeds=True)
    assert found != bootstrap_interval(method.lines)


def test_a_missing_variant_is_a_dash_in_every_cell_and_empty_in_csv(gappy: Report, tmp_path: Path) -> None:
    table = main_table(gappy.groups[0])
    for name in ("local_only", "no_lora"):
        assert row(table, name)[1:] == ["–"] * 11
        assert f"| {name} |{' – |' * 11}" in markdown(table)
    assert "–" not in row(table, "rsrefseg")
    save(table, tmp_path)
    numbers = pd.read_csv(tmp_path / "fake_scenes/tiny/main.csv", index_col="variant")
    assert numbers.loc["local_only"].drop("control").isna().all()
    numbers = numbers.drop(index=["local_only", "no_lora"])
    deviations = [name for name in numbers if name.endswith("_std")]
    assert numbers.drop(columns=deviations).notna().all(axis=None)
    assert numbers[deviations].notna().all(axis=1).tolist() == [not control for control in numbers["control"]]


def test_an_incomplete_variant_is_explained_and_a_missing_one_has_no_note(gappy: Report) -> None:
    notes = " ".join(main_table(gappy.groups[0]).notes)
    assert "Mean over seeds 0, 1." in notes
    assert "no_lora: no result for seed 0, so no mean." in notes
    assert "local_only" not in notes


def test_local_only_is_explained(report: Report) -> None:
    assert any("local_only" in note and "mean token logit" in note for note in main_table(report.groups[0]).notes)


def test_the_best_trained_variant_of_each_metric_is_bold_and_no_control_is(report: Report) -> None:
    (group,) = report.groups
    table = main_table(group)
    seen = set()
    for column, name in enumerate((*METRIC_NAMES, BOUNDARY), start=1):
        bold = {cells[0].text for cells in table.rows if cells[column].bold}
        trained = [method for method in group.methods if not method.control]
        best, *others = sorted(trained, key=lambda method: -method.metrics[name])
        low, highest = group.intervals[best.key][name][0], max(group.intervals[one.key][name][1] for one in others)
        apart = low > highest
        assert bold == ({best.name} if apart else set())
        seen.add(apart)
    assert seen == {True, False}  # both were tried
    assert not any(cell.bold for cells in table.rows for cell in cells[9:])


def test_gain_over_a_control_is_the_paired_difference(report: Report) -> None:
    (group,) = report.groups
    table = controls_table(group)
    assert table is not None
    methods = {method.name: method for method in group.methods}
    expected = paired_difference(methods["rsrefseg"].lines, methods["heat_map_point"].lines)
    chosen = (table.numbers["variant"] == "rsrefseg") & (table.numbers["control"] == "heat_map_point")
    numbers = table.numbers[chosen].iloc[0]
    assert numbers[["difference", "low", "high"]].tolist() == [round(100 * value, 2) for value in expected]
    assert row(table, "rsrefseg")[-1] == "yes"


def test_a_variant_beats_every_control_only_if_no_interval_reaches_zero(
    fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    root = fake_place(tmp_path, variants={"rsrefseg": 0.4}, controls={"whole_image": 0, "clip_heat_map": 0.4}, images=4)
    table = controls_table(read(root).groups[0])
    assert table is not None
    assert row(table, "rsrefseg")[-1] == "–"  # a control is missing, so it is not known
    (root / "params.yaml").write_text((root / "params.yaml").read_text().replace("  - heat_map_point\n", ""))
    table = controls_table(read(root).groups[0])
    assert table is not None
    assert row(table, "rsrefseg")[-1] == "no"


def test_missing_runs_are_dashes_among_the_gains(gappy: Report) -> None:
    table = controls_table(gappy.groups[0])
    assert table is not None
    assert row(table, "local_only")[1:] == ["–"] * 4
    known = table.numbers.dropna(subset=["difference", "low", "high"])
    assert set(known["variant"]) == {"rsrefseg", "global_only", "no_dense_prompt"}
    assert set(table.numbers["variant"]) - set(known["variant"]) == {"no_lora", "local_only"}


def test_without_controls_there_is_no_table_of_gains(fake_place: Callable[..., Path], tmp_path: Path) -> None:
    group = read(fake_place(tmp_path, controls={}, images=3)).groups[0]
    assert controls_table(group) is None
    assert row(main_table(group), "whole_image")[1:] == ["–"] * 11


def test_provenance_names_commit_and_what_has_no_result(gappy: Report) -> None:
    table = provenance_table(gappy)
    assert len(table.rows) == len(gappy.results)
    assert {cells[table.header.index("commit")].text for cells in table.rows} == {"fa4efa4efa"}
    assert {cells[4].text for cells in table.rows if cells[3].text == "1"} == {"no"}
    assert "fake_scenes · tiny · local_only · 0" in table.notes[-1]


def test_latex_parses(gappy: Report, report: Report) -> None:
    for table in [*all_tables(report), *all_tables(gappy)]:
        check_latex(latex(table))


def test_markdown_rows_have_as_many_cells_as_the_header(gappy: Report) -> None:
    for table in all_tables(gappy):
        lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
        assert len(lines) == len(table.rows) + 2
        assert {line.replace("\\|", "").count("|") for line in lines} == {len(table.header) + 1}


def test_special_characters_are_escaped_for_latex() -> None:
    assert escaping.latex("no_lora & 5 % {x} #1 $a$ ~ ^ \\ –") == (
        r"no\_lora \& 5 \% \{x\} \#1 \$a\$ \textasciitilde{} \textasciicircum{} \textbackslash{} --"
    )
    check_latex(escaping.latex("a_b & 5 % {x} #1 ~ ^ \\"), cells=False)


def check_latex(text: str, *, cells: bool = True) -> None:
    """Braces and environments balance, specials are escaped, every row has as many cells as columns; ASCII only."""
    assert text.isascii(), [character for character in text if not character.isascii()]
    bare = re.sub(r"\\[\\&%$#_{}]", "", re.sub(r"\\label\{[^}]*\}", "", text))
    bare = re.sub(r"\$\\?[a-z<>-]*\$", "", bare)  # $\geq$, $\cdot$, $-$
    assert not re.search(r"[%#_$~^]", bare)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    if not cells:
        return
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", bare):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert columns is not None
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(columns[1]) - 1}
    assert [text.count(rule) for rule in (r"\toprule", r"\bottomrule")] == [1, 1]
