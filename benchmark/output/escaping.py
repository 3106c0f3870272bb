"""Other people's text (expressions, categories, names, licences, paths) in every format that something is written in.

Each function gives what makes a reader of the format see the very text, and do nothing else: no markup, no link, no
formula, no terminal sequence. HTML is escaped by its templates (reports/templates.py), with html_text() before it.

In CSV, text that a spreadsheet would take as a formula gets an apostrophe before it, which spreadsheets do not show;
numbers, negative ones too, stay numbers. The text itself is in the Parquet and JSON files, where nothing is changed.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# control signs, halves of a sign, line and paragraph separators, and what turns the reading direction
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}",
    "|": r"\textbar{}", "–": "--", "−": "$-$", "≥": r"$\geq$", "·": r"$\cdot$", "×": r"$\times$", "±": r"$\pm$",
    "†": r"$\dagger$", "‡": r"$\ddagger$", "<": "$<$", ">": "$>$",
}  # fmt: skip
_LATEX_SIGNS = re.compile("(?P<twice>[-'])(?=(?P=twice))|[" + re.escape("".join(LATEX)) + "]")


def visible(text: str, keep: str = "") -> str:
    r"""On one line, with every sign that is not seen written out: a line break is \n, an escape \x1b.

    keep: such signs that stay as they are, "\n" for a text of several lines.
    """
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else _written_out(found[0]), text)


def _written_out(sign: str) -> str:
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    return named.get(sign) or (f"\\x{ord(sign):02x}" if ord(sign) < 0x100 else f"\\u{ord(sign):04x}")


def markdown(text: str) -> str:
    """In Markdown (CommonMark with GitHub's tables, strikethrough and formulas), within a line or a table's cell.

    Only what would be markup gets a backslash: "[50.11, 55.31]" and "no_lora" stay as they are.
    """
    text = re.sub(r"[\\`*~$|]", r"\\\g<0>", visible(text).strip())
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    text = re.sub(r"<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:])|\[(?=\^)", r"\\\g<0>", text)
    if number := re.match(r"\d{1,9}(?=[.)](?:\s|$))", text):  # of a list
        return f"{number[0]}\\{text[number.end() :]}"
    return f"\\{text}" if re.match(r"[#>]|[-+](?=[\s-]|$)", text) else text  # of a heading, a quotation, a list


def code_span(text: str) -> str:
    """In Markdown, as code: with a fence that is longer than any in the text."""
    text = visible(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " * (longest > 0 or text != text.strip())
    return f"{fence}{space}{text}{space}{fence}" if text.strip() else markdown(text)


def latex(text: str) -> str:
    r"""In LaTeX, within a paragraph or a table's cell.

    A cell that began with [ or * would be taken as an argument of the \\ before it.
    """
    text = _LATEX_SIGNS.sub(lambda found: f"{found[0]}{{}}" if found["twice"] else LATEX[found[0]], visible(text))
    return f"{{{text[0]}}}{text[1:]}" if text.startswith(("[", "*")) else text


def html_text(value: object) -> object:
    """What a template of HTML prints, before it is escaped; lines and finished markup stay as they are."""
    return visible(value, keep="\n") if type(value) is str else value


def csv_table(table: pd.DataFrame) -> str:
    """A table as CSV, its texts safe to open in a spreadsheet."""
    safe = table.rename(columns=_no_formula)
    for place, name in enumerate(table.columns):
        if not pd.api.types.is_numeric_dtype(table[name]):
            safe.isetitem(place, np.array([_no_formula(value) for value in table[name]], dtype=object))
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text


def _no_formula(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if value.lstrip(" ").startswith(FORMULA) else text
