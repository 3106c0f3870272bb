"""What README and docs/results.md show is of the results that lie beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.load import load_report
from reports.writing import BEGIN, END, document_block, make_tables, readme_block

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_results_in_the_repository() -> None:
    if not list((ROOT / "results").glob("*/*/*/*/result.json")):
        pytest.skip("no results yet: results/ holds no result.json")
    report = load_report(ROOT / "results", ROOT / "params.yaml", ROOT / "reports/generated/runs.csv")
    blocks = {"README.md": readme_block(report), "docs/results.md": document_block(report, make_tables(report))}
    for name, expected in blocks.items():
        shown = (ROOT / name).read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
        assert shown.strip() == expected.strip(), f"{name}: run `dvc repro report`"


def test_the_readme_takes_a_minute() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"
