"""A collapsed run is a finding: every output that shows a number over it says so, and none makes a verdict of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from reports.figures.plots import difference_plot, metric_bars
from reports.figures.style import styles
from reports.load import load_report
from reports.report import Report
from reports.tables.comparisons import ablation_table
from reports.tables.headline import headline_table, summary_table
from reports.tables.main import controls_table, main_table, provenance_table
from reports.tables.rendering import Table, latex
from reports.writing import build, make_tables, readme_block

LABEL = "no_lora (1 of 2 runs collapsed: empty masks)"
NOTE = "Collapsed runs (benchmark/README.md): no_lora, seed 1 (empty masks)."
VARIANTS = {"rsrefseg": 0.9, "no_lora": 0.95, "local_only": 0.2}


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")


def collapse(root: Path, name: str, seed: int, fake_result: Callable[..., None]) -> None:
    """Make a run of both datasets say "nothing there" to everything."""
    for dataset in ("fake_scenes", "fake_tiles"):
        fake_result(root / "results", root / "data" / dataset, dataset, "tiny", name, seed, -1.0, False, 60)


@pytest.fixture(scope="module")
def root(
    fake_place: Callable[..., Path],
    fake_result: Callable[..., None],
    fake_runs: Callable[[Path, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Two datasets, two seeds; the second of no_lora collapsed. Read only."""
    place = fake_place(
        tmp_path_factory.mktemp("collapsed"), datasets=("fake_scenes", "fake_tiles"), variants=VARIANTS, seeds=(0, 1),
        images=6,
    )  # fmt: skip
    collapse(place, "no_lora", 1, fake_result)
    fake_runs(place / "results", place / "reports/generated/runs.csv")
    return place


def first_cells(table: Table | None) -> list[str]:
    assert table is not None
    return [cells[0].text for cells in table.rows]


def test_every_table_with_its_numbers_marks_the_variant_and_says_which_runs(root: Path) -> None:
    report = read(root)
    group = report.groups[0]
    tables = [*make_tables(report)[group.dataset, group.model], headline_table(group)]
    for table in tables:
        assert "no_lora" not in [*first_cells(table), *table.header], table.name
        assert LABEL in first_cells(table) or "no_lora ‡" in table.header, table.name
        assert table.name == "cost" or any(note.startswith(NOTE) for note in table.notes), table.name
        assert latex(table).isascii()
    assert main_table(group).numbers.set_index("variant")["collapsed"].to_dict()["no_lora"] == 1


def test_there_is_no_verdict_and_no_bold_but_there_are_numbers(root: Path) -> None:
    group = read(root).groups[0]
    for table in (ablation_table(group), controls_table(group)):
        assert table is not None
        verdicts = {cells[0].text: cells[-1].text for cells in table.rows}
        assert verdicts[LABEL] == "collapsed"
        assert verdicts["local_only"] != "collapsed"
        (cells,) = [cells for cells in table.rows if cells[0].text == LABEL]
        assert "[" in cells[1].text
    bold = {cells[0].text for cells in main_table(group).rows if any(cell.bold for cell in cells)}
    assert bold == {"rsrefseg"}  # clearly best of the two that did not collapse


def test_a_collapsed_full_model_leaves_nothing_to_compare_with(
    root: Path, tmp_path: Path, fake_result: Callable[..., None], fake_runs: Callable[[Path, Path], None]
) -> None:
    place = Path(shutil.copytree(root, tmp_path / "place"))
    collapse(place, "rsrefseg", 0, fake_result)
    fake_runs(place / "results", place / "reports/generated/runs.csv")
    table = ablation_table(read(place).groups[0])
    assert table is not None
    assert first_cells(table)[0] == "rsrefseg (1 of 2 runs collapsed: empty masks)"
    assert {cells[-1].text for cells in table.rows[1:] if cells[1].text != "–"} == {"collapsed"}
    assert "Nothing is compared with the full model" in table.notes[-1]


def test_summary_readme_and_provenance_count_and_name_them(root: Path) -> None:
    report = read(root)
    assert [cells[-1].text for cells in summary_table(report).rows] == ["1 of 6 (empty masks)"] * 2
    block = readme_block(report)
    assert LABEL in block
    assert "; 1 of 6 trained runs collapsed: empty masks." in block
    assert "the other variants (some of whose runs collapsed)" in block
    table = provenance_table(report)
    place = table.header.index("collapsed")
    said = {tuple(cell.text for cell in cells[:4]): cells[place].text for cells in table.rows}
    assert said["fake_scenes", "tiny", "no_lora", "1"] == "empty (100.0 %)"
    assert said["fake_scenes", "tiny", "no_lora", "0"] == "no"
    assert said["fake_scenes", "tiny", "whole_image", "0"] == "–"


def test_the_page_says_so_above_the_figures_and_beside_each_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.writing.save_all", lambda _, folder: folder.mkdir())
    build(root / "results", root / "out", root / "params.yaml")
    page = (root / "out/index.html").read_text()
    assert page.index(f'<p class="collapsed">{NOTE}') < page.index("Pictures and figures of fake_scenes")
    assert "no_lora · fake_scenes · tiny · 1 · collapsed: empty masks" in page
    assert "no_lora · fake_scenes · tiny · 0<" in page


def test_figures_hatch_and_sign_it(root: Path) -> None:
    report = read(root)
    group, look = report.groups[0], styles(report)
    bars = metric_bars(group, look).axes[0]
    hatched = [bar.get_hatch() is not None for bar in bars.patches]
    assert hatched == [bool(method.collapsed) for method in group.present]
    assert sum(hatched) == 1
    assert "no_lora ‡" in [label.get_text() for label in bars.get_yticklabels()]
    differences = difference_plot(group, look)
    assert differences is not None
    markers = [line.get_markerfacecolor() for line in differences.axes[0].lines[2::2]]
    assert [marker == "white" for marker in markers] == [True, False]
    plt.close("all")


def test_where_none_collapsed_nothing_is_said(fake_results: Path) -> None:
    report = read(fake_results)
    for table in make_tables(report)["fake_scenes", "tiny"]:
        text = " ".join([*table.header, *table.notes, *(cell.text for cells in table.rows for cell in cells)])
        assert "collapse" not in text.casefold(), table.name
        assert "‡" not in text, table.name
