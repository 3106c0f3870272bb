"""The tables in the project's README are those of the results that lie beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.build import BEGIN, END, make_tables, readme_block
from reports.load import load_report

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_results_in_the_repository() -> None:
    if not list((ROOT / "results").glob("*/*/*/*/result.json")):
        pytest.skip("no results yet: results/ holds no result.json")
    report = load_report(ROOT / "results", ROOT / "params.yaml", ROOT / "reports/generated/runs.csv")
    expected = readme_block(report, make_tables(report))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1, "README.md lacks the markers of its results block"
    shown = text.split(BEGIN)[1].split(END)[0]
    assert shown.strip() == expected.strip(), "run `python -m reports.build --readme README.md`"
    generated = ROOT / "reports/generated/tables/readme.md"
    assert generated.read_text(encoding="utf-8") == expected, "run `python -m reports.build --readme README.md`"
