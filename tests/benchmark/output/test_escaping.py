"""Whatever a text is, every format shows the very text and does nothing else: a parser of the format is the judge."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given

from benchmark.output.escaping import FORMULA, code_span, csv_table, html_text, latex, markdown, visible
from reports.templates import templates
from tests.hostile import HOSTILE, MARKDOWN, WRITTEN_TEX, Reader, texts


def inline_text(text: str) -> list[tuple[str, str]]:
    """The kinds and contents of what a Markdown text is, its blocks first."""
    found = []
    for token in MARKDOWN.parse(text):
        found += [(child.type, child.content) for child in token.children or ()] or [(token.type, "")]
    return found


@given(texts)
def test_nothing_unseen_is_left_and_what_is_seen_stays(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or not {"\n", "\r", "\t", "\x1b", "\x00", "\u2028", "\u202e"} & set(shown)
    shown.encode()
    assert visible(shown) == shown
    assert visible("über 木 ⛵ [/27L]") == "über 木 ⛵ [/27L]"
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(texts)
@example("a\\")
@example("[x](y)")
def test_markdown_shows_the_very_text(text: str) -> None:
    expected = visible(text).strip()
    paragraph = [("paragraph_open", ""), ("text", expected), ("paragraph_close", "")] if expected else []
    assert inline_text(markdown(text)) == paragraph
    table = inline_text(f"| a |\n| --- |\n| {markdown(text)} |\n")
    assert [kind for kind, _ in table].count("td_open") == 1
    assert {kind for kind, _ in table if not kind.endswith(("_open", "_close"))} <= {"text", "inline"}
    assert [part for kind, part in table if kind == "text"] == ["a", *([expected] if expected else [])]


def test_what_is_no_markup_stays_as_it_is_in_markdown() -> None:
    for text in (
        "52.68 [50.11, 55.31]",
        "no_lora",
        "P@0.5",
        "< 0.001",
        "+26.69 [+24.04, +29.40]",
        "RMSIN (ours) †",
        "A & B",
    ):
        assert markdown(text) == text


@given(texts)
def test_code_in_markdown_is_the_very_text(text: str) -> None:
    kinds = inline_text(f"x {code_span(text)} y")
    if visible(text).strip():
        assert ("code_inline", visible(text)) in kinds
    assert {kind for kind, _ in kinds} <= {"paragraph_open", "text", "code_inline", "paragraph_close"}


@given(texts)
def test_latex_has_no_command_but_those_that_print_a_sign(text: str) -> None:
    written = latex(text)
    assert not set(WRITTEN_TEX.sub("", written)) & set("\\{}$&#%_^~`|\n")
    assert not written.startswith(("[", "*"))
    assert "--" not in WRITTEN_TEX.sub("x", written).replace("--", "", text.count("–"))


@given(texts.filter(lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text)))
def test_a_spreadsheet_sees_no_formula_and_a_reader_the_text(text: str) -> None:
    written = csv_table(pd.DataFrame({text: [text, "a"], "number": [-1.5, 2], "whole": [-1, None]}))
    header, row, _ = list(csv.reader(io.StringIO(written)))
    for cell in (header[0], row[0]):
        assert not cell.lstrip(" ").startswith(FORMULA)
        assert cell.removeprefix("'") == visible(text).removeprefix("'")
    assert row[1:] == ["-1.5", "-1.0"]


def test_a_table_without_hostile_text_is_written_as_pandas_writes_it() -> None:
    numbers = {"miou": [1.25, None], "n": pd.array([1, None], "Int64"), "yes": [True, False]}
    table = pd.DataFrame({"name": ["a", "b,c"], **numbers, "mixed": ["x", None]})
    assert csv_table(table) == table.to_csv(index=False, lineterminator="\n")


@given(texts)
def test_a_template_shows_the_very_text_in_its_place(text: str) -> None:
    html = templates(Path()).from_string('<p title="{{ x }}">{{ x }}</p>').render(x=text)
    reader = Reader()
    reader.feed(html)
    reader.close()
    expected = visible(text, keep="\n")
    assert reader.tags == [("p", [("title", expected)])]
    assert reader.text == expected
    assert html_text(3) == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_draws_every_text(text: str) -> None:
    import matplotlib.pyplot as plt

    from reports.figures.style import set_theme

    set_theme()
    figure = plt.figure(figsize=(1, 1))
    drawn = figure.text(0, 0, visible(text))
    assert not drawn.get_parse_math()
    plt.close(figure)
