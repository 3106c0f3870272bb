"""The figure of docs/speed.md: ratios against goals, and growth with its slopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmark.output.escaping import visible
from reports.figures.style import FULL_WIDTH, MARKERS, legend, set_theme

LONGEST = 64  # signs of a label
Slope = Callable[[Sequence[float], Sequence[float]], float | None]


def draw(pairs: pd.DataFrame, growths: pd.DataFrame, slope: Slope) -> Figure:
    """Left a dot a line of speed.csv, with its goal; right a line a kind of growth, from its smallest size on.

    slope: of a line, for its legend.
    """
    set_theme()
    height = max(2.2, 0.6 + 0.17 * len(pairs))
    figure, (left, right) = plt.subplots(1, 2, figsize=(FULL_WIDTH, height), layout="constrained")
    _ratios(left, pairs)
    _growth(right, growths, slope)
    legend(figure, right)
    return figure


def _ratios(axis: Axes, pairs: pd.DataFrame) -> None:
    palette, y = sns.color_palette("colorblind"), np.arange(len(pairs))
    paths = list(dict.fromkeys(pairs["path"]))
    colors = [palette[paths.index(path) % len(palette)] for path in pairs["path"]]
    axis.axvline(1, color="#777777", linewidth=0.8)
    axis.scatter(pairs["ratio"], y, c=colors, s=14, zorder=3, label="ours")
    axis.scatter(pairs["goal"], y, marker="|", color="#222222", s=50, zorder=2, label="goal")
    axis.set_yticks(y, [_label(f"{path}: {case}") for path, case in zip(pairs["path"], pairs["case"], strict=True)])
    axis.invert_yaxis()
    axis.set_xscale("log")
    _plain_ticks(axis.xaxis)
    axis.set_xlabel("times as fast as the plain way (|: goal)")


def _growth(axis: Axes, growths: pd.DataFrame, slope: Slope) -> None:
    palette = sns.color_palette("colorblind")
    for place, ((path, over), lines) in enumerate(growths.groupby(["path", "over"], sort=False)):
        sizes, seconds = lines["size"].to_numpy(), lines["seconds"].to_numpy()
        found = slope(sizes.tolist(), seconds.tolist())
        label = _label(f"{path}, {over}") + ("" if found is None else f": slope {found:.2f}")
        axis.plot(
            sizes / sizes[0], seconds / seconds[0], label=label, color=palette[place % len(palette)],
            marker=MARKERS[place % len(MARKERS)], markersize=3.5, linewidth=1.2, markeredgewidth=0,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    _plain_ticks(axis.xaxis, (1.0,))
    _plain_ticks(axis.yaxis)
    axis.set_xlabel("size, of the smallest")
    axis.set_ylabel("time, of the smallest's")


def _plain_ticks(axis: Axis, digits: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """1, 2, 5, 10, ... as they are: formulas are not drawn."""
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _label(text: str) -> str:
    """On one line, cut where it is long; matplotlib leaves names that begin with _ out of a legend."""
    text = visible(text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"\u200b{text}" if text.startswith("_") else text
