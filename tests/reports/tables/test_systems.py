"""Tables of the systems beside each other, against the functions they print."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.metrics.permutation import holm, permutation_p
from benchmark.metrics.ranking import mean_ranks
from benchmark.metrics.statistics import paired_difference
from benchmark.results.store import ResultError
from reports.load import load_report
from reports.measured import PAIRS
from reports.report import Comparison, Report
from reports.systems import load_systems
from reports.tables.published import PUBLISHED, papers_table
from reports.tables.rendering import Table
from reports.tables.systems import ranking_table, systems_headline, systems_table
from reports.tables.systems_cost import systems_cost_table
from reports.writing import BEGIN, END, build, readme_block, systems_tables

MODELS = ("mini", "lavt-mini", "rmsin-mini")


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", measured=root / "not_measured.csv")


@pytest.fixture(scope="module")
def place(
    fake_place: Callable[..., Path], fake_result: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three systems on two datasets: lavt-mini's first run on fake_tiles collapsed; of rsrefseg2-mini there is none."""
    root = fake_place(
        tmp_path_factory.mktemp("systems"), datasets=("fake_scenes", "fake_tiles"), models=MODELS, images=8,
        variants={"rsrefseg": 0.9, "full": 0.4}, controls={}, seeds=(0, 1),
    )  # fmt: skip
    for seed in (0, 1):
        data, better = root / "data/fake_scenes", ("fake_scenes", "rmsin-mini", "full", seed, 0.95, False, 60)
        fake_result(root / "results", data, *better)
    fake_result(root / "results", root / "data/fake_tiles", "fake_tiles", "lavt-mini", "full", 0, -1, False, 60)
    return root


@pytest.fixture
def spoilt(place: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(place, tmp_path / "place"))


@pytest.fixture
def comparison(place: Path) -> Comparison:
    (found,) = read(place).comparisons
    return found


def table_with_speed(root: Path) -> Table:
    lines = [
        ("systems, a training step", "lavt-mini", 0.2, 0.5),
        ("systems, a training step", "rmsin-mini", 0.4, 0.9),
        ("systems, an image predicted", "lavt-mini", 1 / 30, 1 / 20),
        ("systems, an image predicted", "rmsin-mini", 1 / 30, 1 / 10),
        ("training", "mini, 5 expressions", 3, 2),
    ]
    measured = pd.DataFrame(lines, columns=["path", "case", "reference", "ours"]).assign(ratio=1)
    measured["module"] = measured["path"].str.split(",").str[0]
    measured.reindex(columns=list(PAIRS)).to_csv(root / "speed.csv", index=False)
    return systems_cost_table(
        load_report(root / "results", root / "params.yaml", measured=root / "speed.csv").comparisons[0]
    )


def row(table: Table | None, name: str) -> list[str]:
    assert table is not None
    return next([cell.text for cell in cells] for cells in table.rows if cells[0].text == name)


def test_each_system_is_its_main_variant_compared_with_rsrefseg_and_corrected_over_the_table(
    place: Path, comparison: Comparison
) -> None:
    table = systems_table(comparison)
    assert [cells[0].text for cells in table.rows] == ["RSRefSeg", "LAVT", "RMSIN"]
    stored: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for one in read(place).results:
        run = one.result.run
        if run.variant == ("rsrefseg" if run.model == "mini" else "full"):
            stored.setdefault((run.dataset, run.model), []).append(one.lines)
    pairs = {
        (dataset, title): (stored[dataset, model], stored[dataset, "mini"])
        for dataset in ("fake_scenes", "fake_tiles")
        for title, model in (("LAVT", "lavt-mini"), ("RMSIN", "rmsin-mini"))
    }
    raw = {key: permutation_p(*pair) for key, pair in pairs.items()}
    numbers = table.numbers.set_index(["dataset", "system"])
    for (key, p), adjusted in zip(raw.items(), holm(list(raw.values())), strict=True):
        expected = paired_difference(*pairs[key], over_seeds=True)
        line = numbers.loc[key]
        ends = line[["difference_miou", "difference_miou_low", "difference_miou_high"]].tolist()
        assert ends == [round(100 * value, 2) for value in expected]
        assert (line["p"], line["p_holm"]) == (round(p, 5), round(adjusted, 5))
        assert line["variant"] == "full"
    assert row(table, "LAVT")[2].endswith(": worse")
    assert row(table, "RSRefSeg")[2] == row(table, "RSRefSeg")[4] == ""
    assert "corrected by Holm over this table" in table.notes[0]
    assert any(note == "No result on any of these datasets: RSRefSeg 2." for note in table.notes)


def test_a_collapsed_run_is_marked_and_no_verdict_is_made_of_it(comparison: Comparison) -> None:
    table = systems_table(comparison)
    miou, less = row(table, "LAVT")[3:]
    assert miou.endswith("] ‡")
    assert less.endswith(": collapsed")
    assert table.numbers["mark"].tolist().count("collapsed") == 1
    for made in (table, systems_headline(comparison), ranking_table(comparison)):
        assert made is not None
        assert any("LAVT, seed 0 (empty masks) on fake_tiles" in note for note in made.notes)
    assert row(ranking_table(comparison), "LAVT ‡")[3] == "3"


def test_ranks_are_those_of_the_systems_that_are_on_every_dataset(comparison: Comparison) -> None:
    lines = {group.dataset: {one.name: one.lines for one in group.methods} for group in comparison.groups}
    table = ranking_table(comparison)
    assert table is not None
    for title, rank in mean_ranks(lines).items():
        name = next(cells[0].text for cells in table.rows if cells[0].text.startswith(title))
        shown = f"{rank.mean:.2f} [{rank.low:.2f}, {rank.high:.2f}]"
        assert row(table, name)[1:] == [
            shown,
            *(f"{one:g}" for one in rank.ranks.values()),
            f"{100 * rank.first:.1f} %",
        ]
        assert row(systems_headline(comparison), title)[-1] == shown
    means = [float(cells[1].text.split()[0]) for cells in table.rows]
    assert means == sorted(means)


def test_what_is_not_there_is_said_and_not_ranked(spoilt: Path) -> None:
    shutil.rmtree(spoilt / "results/fake_tiles/rmsin-mini/full")
    shutil.rmtree(spoilt / "results/fake_scenes/lavt-mini/full/1")
    (comparison,) = read(spoilt).comparisons
    table = systems_table(comparison)
    assert row(table, "RMSIN")[3:] == ["– no result", "–"]
    assert row(table, "LAVT")[1:3] == ["– no result", "–"]  # never the mean of what is there
    missing = "No result: LAVT on fake_scenes of seed 1, so no mean; RMSIN on fake_tiles."
    nothing = "Nothing is ranked: fewer than two systems have results on every dataset."
    for made in (table, systems_headline(comparison), systems_cost_table(comparison)):
        assert {missing, nothing} <= set(made.notes)
    assert ranking_table(comparison) is None
    assert "mean rank [95 %]" not in systems_headline(comparison).header
    shutil.rmtree(spoilt / "results/fake_tiles/lavt-mini/full")
    (comparison,) = read(spoilt).comparisons
    assert [group.dataset for group in comparison.groups] == ["fake_scenes"]
    assert "Not shown, for one system alone has results there: fake_tiles." in systems_table(comparison).notes


def test_without_one_of_three_the_other_two_are_ranked(spoilt: Path) -> None:
    shutil.rmtree(spoilt / "results/fake_tiles/rmsin-mini/full")
    (comparison,) = read(spoilt).comparisons
    table = ranking_table(comparison)
    assert table is not None
    assert [cells[0].text for cells in table.rows] == ["RSRefSeg", "LAVT ‡"]
    assert "Not ranked, for want of results on every dataset: RMSIN." in table.notes
    assert row(systems_headline(comparison), "RMSIN")[-1] == "–"


def test_costs_stand_beside_what_a_system_is_and_unequal_trainings_are_said(spoilt: Path) -> None:
    table = systems_cost_table(read(spoilt).comparisons[0])
    lavt = next(one for one in load_systems() if one.model == "lavt-mini")
    about = ["0.35 M", "2.35 M", lavt.pretraining, lavt.input_side, lavt.encodes_per]
    assert row(table, "LAVT")[1:] == [*about, "60", "512", "–", "–"]
    assert row(table_with_speed(spoilt), "LAVT")[-2:] == ["0.50", "20.0"]
    assert row(table_with_speed(spoilt), "RSRefSeg")[-2:] == ["0.30", "30.0"]  # the median of what it was beside each
    assert table.notes[1].startswith("Training is as long for all. fake_scenes: 3 epochs, 60 steps.")
    assert not any("recipe" in note for note in table.notes)
    for seed in (0, 1):
        file = spoilt / f"results/fake_scenes/lavt-mini/full/{seed}/result.json"
        document = json.loads(file.read_text())
        document["run"]["config"]["train"] |= {"lr": 2e-3, "step_of": "images"}
        document["train"]["steps"] = 80
        file.write_text(json.dumps(document))
    table = systems_cost_table(read(spoilt).comparisons[0])
    assert "Training is not as long for all. fake_scenes: 3 epochs, 60 steps (RSRefSeg, RMSIN)" in table.notes[1]
    assert "3 epochs, 80 steps, 24 images seen (LAVT)" in table.notes[1]
    assert "of `train` differ: lr, step_of (" in table.notes[2]


def test_the_tables_are_the_same_whatever_run_names(place: Path, tmp_path: Path) -> None:
    params = (place / "params.yaml").read_text()
    assert "models:\n  - tiny" in params
    tables = []
    for run in ("models:\n  - mini", "models:\n  - lavt-mini\n  - mini", "models:\n  - other"):
        file = tmp_path / "params.yaml"
        file.write_text(params.replace("models:\n  - tiny", run).replace("- fake_scenes", "- fake_tiles"))
        report = load_report(place / "results", file)
        tables.append((systems_tables(report), systems_headline(report.comparisons[0])))
    first, headline = tables[0]
    for other, again in tables[1:]:
        assert again.rows == headline.rows
        assert [table.rows for table in other] == [table.rows for table in first]


def test_of_one_system_nothing_is_shown_and_of_two_a_block_behind_the_headline(
    spoilt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.writing.save_all", lambda _, folder: folder.mkdir())
    params = spoilt / "params.yaml"
    params.write_text(params.read_text().replace("models:\n  - tiny", "models:\n  - mini"))
    readme, document, out = spoilt / "README.md", spoilt / "results.md", spoilt / "out"
    for file in (readme, document):
        file.write_text(f"{BEGIN}\n{END}")
    build(spoilt / "results", out, params, readme, document)
    block = (out / "tables/systems_headline.md").read_text()
    assert readme.read_text().index("| rsrefseg |") < readme.read_text().index(block)
    assert "lavt-mini" not in readme.read_text()  # only in the block, by its name
    tables = [(out / f"tables/{name}.md").read_text() for name in ("systems", "ranking", "systems_cost", "papers")]
    places = [document.read_text().index(table) for table in tables]
    assert places == sorted(places)
    assert places[-1] < document.read_text().index("## fake_scenes · mini")
    assert '<h2 id="systems">' in (out / "index.html").read_text()
    for model in MODELS[1:]:
        for folder in (spoilt / "results").glob(f"*/{model}"):
            shutil.rmtree(folder)
    build(spoilt / "results", out, params, readme, document)
    assert not list((out / "tables").glob("systems*"))
    assert 'id="systems"' not in (out / "index.html").read_text()
    assert "mean rank" not in readme_block(read(spoilt))
    assert "## Systems" not in document.read_text()


def test_papers_numbers_are_of_these_systems_alone_and_said_to_be_no_comparison(comparison: Comparison) -> None:
    table = papers_table(comparison)
    names = {cells[0].text for cells in table.rows}
    assert names == {"LAVT", "RMSIN", "RMSIN (FIANet authors re-run)", "RSRefSeg-b", "RSRefSeg-l"}  # no RSRefSeg 2 here
    file = pd.read_csv(PUBLISHED)
    assert len(table.rows) == (file["method"].isin(names) & (file["split"] != "val")).sum()
    assert "not comparable" in table.title
    assert all(cells[3].text.startswith("[") for cells in table.rows)


def test_a_table_of_systems_that_is_none_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    columns, line = "model,system,main,size,pretraining,input_side,encodes_per\n", "a,A,full,mini,x,1,image\n"
    for name, text, message in (
        ("columns", "model,system\na,A\n", "it needs"),
        ("twice", columns + 2 * line, "the model 'a' more than once"),
    ):
        file = tmp_path / "systems.csv"
        file.write_text(text)
        with subtests.test(msg=name), pytest.raises(ResultError, match=message):
            load_systems(file)


def test_several_sizes_of_a_system_are_told_apart() -> None:
    titles = {one.model: one.title for one in load_systems()}
    assert (titles["mini"], titles["lavt"], titles["rsrefseg-b"]) == ("RSRefSeg", "LAVT", "RSRefSeg · rsrefseg-b")


def test_without_rsrefseg_nothing_is_compared_with_it(comparison: Comparison) -> None:
    systems = comparison.systems[1:]
    groups = tuple(replace(group, main="", methods=group.methods[1:]) for group in comparison.groups)
    table = systems_table(replace(comparison, systems=systems, groups=groups))
    assert table.header == ("system", "fake_scenes: mIoU [95 %]", "fake_tiles: mIoU [95 %]")
    assert "Nothing is compared with RSRefSeg, which has no result of this size." in table.notes
