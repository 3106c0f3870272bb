"""How figures look: one colour, marker and dash for a method in all of them, and how they are saved.

A method's look goes by its place in params.yaml. The variants' colours are seaborn's colour-blind palette; controls are
grey and dashed. Sizes are those of a paper: WIDTH is one column.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display is needed, and none is asked for

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.output.escaping import visible
from reports.groups import Key, Method, ordered
from reports.report import Report

WIDTH = 3.5  # inches, one column
FULL_WIDTH = 7.2  # inches, both columns
DPI = 200
PHOTO_DPI = 110  # of the sheets; as JPEG, which is in git and on the page: photographs as PNG would be megabytes
MARKERS = "osD^vPX*<>hp"
COLORS = (0, 1, 2, 3, 4, 5, 9, 6, 8)  # of seaborn's colour-blind palette, the palest last, without its grey
GREYS = ("#222222", "#777777", "#AAAAAA")


@dataclass(frozen=True)
class Style:
    """How a method is drawn."""

    color: str
    marker: str
    dash: str


Look = Mapping[Key, Style]


def styles(report: Report) -> dict[Key, Style]:
    """The style of every method that any group shows, and of every system."""
    methods = {method.key for group in report.groups for method in group.methods}
    palette = [mpl.colors.to_hex(sns.color_palette("colorblind")[place]) for place in COLORS]
    # all variants that params.yaml knows take part, so that a variant keeps its colour when another gets results
    variants = ordered([*report.selection.known_variants, *(name for name, control in methods if not control)],
                       report.selection.known_variants)  # fmt: skip
    controls = ordered([name for name, control in methods if control], report.selection.controls)
    chosen: dict[Key, Style] = {}
    for place, name in enumerate(variants):
        dash = "-" if place < len(palette) else "-."  # where the colours begin again
        chosen[name, False] = Style(palette[place % len(palette)], MARKERS[place % len(MARKERS)], dash)
    for place, name in enumerate(controls):
        chosen[name, True] = Style(GREYS[place % len(GREYS)], MARKERS[-1 - place % len(MARKERS)], "--")
    for comparison in report.comparisons:
        for place, system in enumerate(comparison.known):
            chosen[system.title, False] = Style(palette[place % len(palette)], MARKERS[place % len(MARKERS)], "-")
    return chosen


def style_of(look: Look, method: Method) -> Style:
    """The style of one method."""
    return look[method.key]


def name_of(method: Method) -> str:
    """A method's name in a figure. matplotlib leaves names that begin with _ out of a legend."""
    name = visible(method.short_label)
    return f"\u200b{name}" if name.startswith("_") else name


def line(axis: Axes, x: Any, y: Any, style: Style, *, label: str | None = None, markers: bool = False) -> None:
    """A method's line."""
    axis.plot(
        x, y, color=style.color, linestyle=style.dash, linewidth=1.2, label=label,
        marker=style.marker if markers else None, markersize=3.5, markeredgewidth=0,
    )  # fmt: skip


def band(axis: Axes, x: Any, low: Any, high: Any, style: Style) -> None:
    """What a method's line may be off by."""
    axis.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)


def legend(figure: Figure, axis: Axes) -> None:
    """Two columns below the axes, for which the figure grows."""
    handles, labels = axis.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.1 + 0.15 * math.ceil(len(labels) / 2))
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def set_theme() -> None:
    """Sizes and fonts of all figures."""
    size = {"font.size": 7.5, "axes.labelsize": 7.5, "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7}
    exact = {"pdf.fonttype": 42, "font.family": "DejaVu Sans", "figure.dpi": DPI, "axes.titlesize": 7.5}
    more = {"grid.linewidth": 0.5, "xtick.major.pad": 1, "text.parse_math": False}  # a text with two $ is no formula
    sns.set_theme(context="paper", style="whitegrid", rc={**size, **exact, **more})


def save(figure: Figure, path: Path, *, photographs: bool = False) -> Path:
    """Write <path>.png and <path>.pdf, of photographs <path>.jpg too, without dates or program names; close the figure.

    A sign that the font lacks is drawn as a box.

    Returns:
        The file to show on a page.
    """
    dpi = PHOTO_DPI if photographs else DPI
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        figure.savefig(path.with_suffix(".png"), dpi=dpi, metadata={"Software": None})
        figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None, "Creator": None, "Producer": None})
        if photographs:
            figure.savefig(path.with_suffix(".jpg"), dpi=dpi, pil_kwargs={"quality": 88})
    plt.close(figure)
    return path.with_suffix(".jpg" if photographs else ".png")
