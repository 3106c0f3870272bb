"""A table, built once and printed as Markdown, CSV and LaTeX, and how numbers are printed in it.

Shares are printed in percent with two decimals; a missing run is "–" in print and empty in CSV. What a table holds is
text, whoever wrote it: each format escapes it (benchmark/output/escaping.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.output import escaping

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """What is printed. value: what a reader's sorting goes by, where it is not the number that the text begins with."""

    text: str
    bold: bool = False
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table in print (`header`, `rows`) and as numbers (`numbers`).

    `name` is its file's stem, `folder` where it lies under tables/.
    """

    name: str
    folder: Path
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    numbers: pd.DataFrame
    rule_before: int | None = None  # the row above which a line is drawn in LaTeX


def markdown(table: Table) -> str:
    """A pipe table and its notes."""
    header, notes = ([escaping.markdown(text) for text in texts] for texts in (table.header, table.notes))
    lines = [_pipes(header), _pipes(["---", *["---:"] * (len(header) - 1)])]
    for row in table.rows:
        cells = [(escaping.markdown(cell.text), cell.bold) for cell in row]
        lines.append(_pipes([f"**{text}**" if bold else text for text, bold in cells]))
    return "\n\n".join(["\n".join(lines), *notes]) + "\n"


def latex(table: Table) -> str:
    r"""A `table*` for booktabs and graphicx, ready for \input; one wider than the page is shrunk to fit it."""
    lines = [
        r"\begin{table*}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaping.latex(table.title)}. {' '.join(escaping.latex(note) for note in table.notes)}}}",
        rf"\label{{tab:{'-'.join([*table.folder.parts, table.name])}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        r"\toprule",
        " & ".join(escaping.latex(name) for name in table.header) + r" \\",
        r"\midrule",
    ]
    for place, row in enumerate(table.rows):
        if place and place == table.rule_before:
            lines.append(r"\midrule")
        cells = (rf"\textbf{{{escaping.latex(cell.text)}}}" if cell.bold else escaping.latex(cell.text) for cell in row)
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]) + "\n"


def save(table: Table, root: Path) -> None:
    """Write <root>/<folder>/<name>.md, .csv and .tex."""
    folder = root / table.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.name}.md").write_text(markdown(table), encoding="utf-8")
    (folder / f"{table.name}.tex").write_text(latex(table), encoding="utf-8")
    (folder / f"{table.name}.csv").write_text(escaping.csv_table(table.numbers), encoding="utf-8")


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percent(share: float) -> str:
    """A share in [0, 1], in % with two decimals."""
    return f"{100 * share:.2f}"


def signed(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def millions(count: float | None) -> str:
    """0, "0.49 M", or MISSING."""
    if count is None:
        return MISSING
    return "0" if count == 0 else f"{count / 1e6:.2f} M"


def duration(seconds: float | None) -> str:
    """0, "41 s", "3 min 12 s", "2 h 05 min", or MISSING."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return "0" if whole == 0 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
