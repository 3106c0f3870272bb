"""A report of results whose every text is hostile: each output shows the texts and does nothing else.

Built once. tests/benchmark/output/test_escaping.py has the property behind it, over any text.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.output.escaping import FORMULA, visible
from reports import build, writing
from reports.figures import plots
from tests.hostile import HOSTILE, MARKDOWN, WRITTEN_TEX, Reader

SEEN = [text for text in HOSTILE if text.strip() and text.isprintable()][::3]  # a category each, which cost time
TEXTS = (*SEEN, "[/27L]", "=1+1", "<b>x</b>", "a | b", "a $x$ b", "\\", "a\nb", "\x1b[31mred", "\u202eback")
NAME = '<b>[/27L] $x$ =1 | `a` "_x_" & \\end'  # of an external submission


@pytest.fixture(scope="module")
def place(fake_place: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants, a control and an external submission on samples of as many categories as there are texts."""
    few = {"variants": {"rsrefseg": 0.9, "no_lora": 0.7}, "controls": {"whole_image": 0.0}}
    root = fake_place(tmp_path_factory.mktemp("hostile"), images=11, models=("mini",), **few)
    results = root / "results" / "fake_scenes"
    other = results / "outside" / "other" / "0"
    other.parent.parent.mkdir()
    (results / "mini" / "no_lora").rename(other.parent)
    system = results / "lavt-mini" / "full" / "0"  # another system
    shutil.copytree(results / "mini" / "rsrefseg" / "0", system)
    document = json.loads((system / "result.json").read_text())
    document["run"] |= {"model": "lavt-mini", "variant": "full"}
    document["run"]["config"]["train"] = {"| $x$ [b](x) <b>": 1, "step_of": "images"}
    (system / "result.json").write_text(json.dumps(document))
    for file in results.glob("*/*/*/result.json"):
        document = json.loads(file.read_text())
        document["meta"] |= {"device": "cpu [/27L] <b>", "git_commit": "=1+1"}
        document["run"]["fingerprint"] += "|`x`"
        if file.parent == other:
            document["run"] |= {"model": "outside", "variant": "other", "outside": NAME, "control": False}
        file.write_text(json.dumps(document))
        lines = pd.read_parquet(file.parent / "samples.parquet")
        lines["category"] = [TEXTS[row % len(TEXTS)] for row in range(len(lines))]
        lines.to_parquet(file.parent / "samples.parquet", index=False)
    examples = pd.read_parquet(results / "examples.parquet")
    examples["expression"] = list(TEXTS[: len(examples)])
    examples.to_parquet(results / "examples.parquet", index=False)
    cases = pd.read_parquet(results / "cases" / "mini.parquet")
    cases = cases[cases["variant"] == "rsrefseg"]
    cases["expression"] = [TEXTS[-1 - row] for row in range(len(cases))]
    cases["fingerprint"] += "|`x`"
    cases.to_parquet(results / "cases" / "mini.parquet", index=False)
    for name in ("README.md", "results.md"):
        (root / name).write_text(f"{writing.BEGIN}\n{writing.END}\n")
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("- tiny", "- mini"))
    with pytest.MonkeyPatch.context() as patch:  # the figures of one group take seconds, and are drawn alike of all
        patch.setattr(
            writing, "save_all", lambda report, at: plots.save_all(replace(report, groups=report.groups[:1]), at)
        )
        writing.build(root / "results", root / "generated", params, root / "README.md", root / "results.md")
    return root


def test_the_page_has_the_texts_and_none_of_their_tags(place: Path) -> None:
    page = Reader()
    page.feed((place / "generated" / "index.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 1
    assert not {"b", "iframe", "object", "embed", "form", "base"} & set(tags)
    assert not [name for _, attributes in page.tags for name, _ in attributes if name.startswith("on")]
    texts = {text.strip("\n") for text in page.texts}
    for text in TEXTS:
        assert visible(text, keep="\n") in texts, text
    assert any(NAME in text for text in texts)


def test_markdown_tables_have_the_texts_in_one_cell_each(place: Path) -> None:
    files = [*(place / "generated" / "tables").rglob("*.md"), place / "README.md", place / "results.md"]
    assert len(files) > 9
    cells: set[str] = set()
    for file in files:
        ours = re.sub("<!-- results:(begin|end) -->", "", file.read_text(encoding="utf-8"))
        for token in MARKDOWN.parse(ours):
            kinds = {child.type for child in token.children or ()}
            assert kinds <= {
                "text",
                "strong_open",
                "strong_close",
                "code_inline",
                "link_open",
                "link_close",
                "image",
            }, file
            assert token.type not in ("html_block", "code_block", "fence", "hr", "blockquote_open"), file
            for child in token.children or ():
                target = str(child.attrs.get("href", child.attrs.get("src", "docs/")))
                assert target.startswith(("docs/", "../reports/")), (file, target)
            cells.add("".join(child.content for child in token.children or ()))
    for text in TEXTS:
        assert visible(text).strip() in cells, text
    assert f"{NAME} †" in cells


def test_latex_tables_have_no_command_of_a_text(place: Path) -> None:
    tables = list((place / "generated" / "tables").rglob("*.tex"))
    assert len(tables) > 7
    words = "textbf caption label begin end resizebox ifdim width textwidth else fi centering footnotesize setlength"
    ours = {f"\\{word}" for word in f"{words} tabcolsep toprule midrule bottomrule".split()}
    for file in tables:
        for line in file.read_text(encoding="utf-8").splitlines():
            cells = line.removesuffix(r" \\").split(" & ")
            for cell in cells if line.endswith(r" \\") else ():
                text = re.fullmatch(r"\\textbf\{(.*)\}", cell)
                rest = WRITTEN_TEX.sub("", text[1] if text else cell)
                assert not set(rest) & set("\\{}$&#%_^~`|"), (file, cell)
            commands = set(re.findall(r"\\[A-Za-z]+", WRITTEN_TEX.sub("", line)))
            assert commands <= ours, (file, commands - ours)


def test_no_cell_of_a_csv_file_is_a_formula(place: Path) -> None:
    tables = list((place / "generated" / "tables").rglob("*.csv"))
    assert len(tables) > 7
    cells: set[str] = set()
    for file in tables:
        with file.open(encoding="utf-8", newline="") as opened:
            for row in csv.reader(opened):
                assert not [cell for cell in row if cell.startswith(FORMULA) and not _number(cell)], file
                cells.update(row)
    for text in TEXTS:
        assert {visible(text), f"'{visible(text)}"} & cells, text


def _number(cell: str) -> bool:
    return re.fullmatch(r"-\d+(\.\d+)?", cell) is not None


def test_every_figure_is_drawn(place: Path) -> None:
    figures = {path.stem for path in (place / "generated" / "figures").rglob("*.pdf")}
    assert {"examples", "cases", "activations", "categories", "metrics", "differences", "readme"} <= figures
    assert {"speed", "examples_fake_scenes"} <= figures


def test_the_command_prints_the_names_as_they_are(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    made = writing.load_report(place / "results", place / "params.yaml")
    tables = writing.make_tables(made)
    monkeypatch.setattr(writing, "build", lambda *arguments: (made, tables))
    build.main(generated=tmp_path / "[red]")
    printed = capsys.readouterr().out
    assert f"{NAME} †" in printed
    assert f"report: {tmp_path}/[red]/index.html" in printed
