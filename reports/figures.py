"""Figures, as PNG and PDF, the same bytes from the same results. The only module that imports matplotlib and seaborn.

One method has one colour, marker and dash in every figure, by its place in params.yaml. The variants' colours are
seaborn's colour-blind palette; controls are grey and dashed. Sizes are those of a paper: WIDTH is one column.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display is needed, and none is asked for

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.metrics import THRESHOLDS, precision_name
from benchmark.overlay import LEGEND, overlay, read_examples
from benchmark.results import METRICS
from reports.load import Group, Report, ordered

WIDTH = 3.5  # inches, one column
FULL_WIDTH = 7.2  # inches, both columns
COLUMNS = 7  # tiles in a line of the sheet
MARKERS = "osD^vPX*<>hp"
COLORS = (0, 1, 2, 3, 4, 5, 9, 6, 8)  # of seaborn's colour-blind palette, the palest last, without its grey
GREYS = ("#222222", "#777777", "#AAAAAA")


@dataclass(frozen=True)
class Style:
    """How a method is drawn."""

    color: str
    marker: str
    dash: str


def styles(report: Report) -> dict[tuple[str, bool], Style]:
    """(name, control) -> style, for every method that any group shows."""
    methods = {(method.name, method.control) for group in report.groups for method in group.methods}
    palette = [mpl.colors.to_hex(sns.color_palette("colorblind")[place]) for place in COLORS]
    # all variants that params.yaml knows take part, so that a variant keeps its colour when another gets results
    variants = ordered([*report.selection.known_variants, *(name for name, control in methods if not control)],
                       report.selection.known_variants)  # fmt: skip
    controls = ordered([name for name, control in methods if control], report.selection.controls)
    chosen = {}
    for place, name in enumerate(variants):
        dash = "-" if place < len(palette) else "-."  # where the colours begin again
        chosen[name, False] = Style(palette[place % len(palette)], MARKERS[place % len(MARKERS)], dash)
    for place, name in enumerate(controls):
        chosen[name, True] = Style(GREYS[place % len(GREYS)], MARKERS[-1 - place % len(MARKERS)], "--")
    return chosen


PHOTO_DPI = 110  # the sheets of examples are in git as PNG: photographs at 200 dots an inch would be megabytes


def save_all(report: Report, root: Path) -> list[Path]:
    """Write every figure under <root>/<dataset>/<model>/ and name the PNG files."""
    _set_theme()
    look = styles(report)
    written = []
    for group in report.groups:
        folder = root / group.dataset / group.model
        folder.mkdir(parents=True, exist_ok=True)
        drawn = {
            "metrics": metric_bars(group, look),
            "precision": precision_curves(group, look),
            "training": training_curves(group, look),
            "examples": examples_sheet(group),
        }
        for name, figure in drawn.items():
            if figure is not None:
                written.append(_save(figure, folder / name))
    return written


def metric_bars(group: Group, look: Mapping[tuple[str, bool], Style]) -> Figure:
    """mIoU and oIoU of every method with their 95 % bootstrap intervals, in %."""
    methods = group.present
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 0.55 + 0.22 * len(methods)), sharey=True, layout="constrained")
    for axis, metric in zip(axes, ("miou", "oiou"), strict=True):
        for place, method in enumerate(methods):
            style, value = look[method.name, method.control], 100 * method.metrics[metric]
            low, high = (100 * bound for bound in method.intervals[metric])
            axis.barh(place, value, height=0.7, color=style.color, alpha=0.85)
            axis.plot([low, high], [place, place], color="black", linewidth=1)
            axis.text(max(high, value) + 1.5, place, f"{value:.1f}", va="center", fontsize=6.5)
        highest = max(100 * max(method.metrics[metric], method.intervals[metric][1]) for method in methods)
        axis.set(xlim=(0, max(10, 1.35 * highest)), xlabel=f"{METRICS[metric].title} (%)")
        axis.set_yticks(range(len(methods)), [method.name for method in methods])
        axis.grid(visible=False, axis="y")
    axes[0].invert_yaxis()
    return figure


def precision_curves(group: Group, look: Mapping[tuple[str, bool], Style]) -> Figure:
    """Precision@X over X, in %."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2.2), layout="constrained")
    for method in group.present:
        values = [100 * method.metrics[precision_name(x)] for x in THRESHOLDS]
        _line(axis, THRESHOLDS, values, look[method.name, method.control], label=method.name, markers=True)
    axis.set(xlabel="X", ylabel="precision@X (%)", xticks=THRESHOLDS, ylim=(0, None))
    _legend(figure, axis)
    return figure


def training_curves(group: Group, look: Mapping[tuple[str, bool], Style]) -> Figure | None:
    """Loss by step (mean of each 1/50 of the training) and validation mIoU by epoch, mean over seeds.

    None if nothing was trained.
    """
    trained = [method for method in group.present if any(one.curve is not None for one in method.results)]
    if not trained:
        return None
    figure, (loss, miou) = plt.subplots(1, 2, figsize=(WIDTH, 1.7), layout="constrained")
    for method in trained:
        curve = pd.concat([one.curve for one in method.results if one.curve is not None])
        style = look[method.name, method.control]
        width = max(1, math.ceil(curve["step"].max() / 50))
        steps = (curve["step"] - 1).clip(lower=0) // width
        smooth = curve.groupby(steps).agg({"step": "mean", "loss": "mean"})
        _line(loss, smooth["step"], smooth["loss"], style, label=method.name)
        ends = curve.dropna(subset=["val_miou"]).groupby("epoch")["val_miou"].mean()
        _line(miou, ends.index, 100 * ends, style, markers=True)
    loss.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    miou.set(xlabel="epoch", ylabel="validation mIoU (%)", ylim=(0, None))
    miou.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, loss)
    return figure


def examples_sheet(group: Group) -> Figure | None:
    """Per example: its expression, then image, truth and each trained variant at its first seed, with each IoU.

    None without a variant; more tiles than COLUMNS go on in another line.
    """
    methods = [method for method in group.present if not method.control]
    if not methods:
        return None
    shown = [read_examples(group.examples, method.results[0].predictions) for method in methods]
    columns = min(COLUMNS, 2 + len(methods))
    side, title, caption, foot = FULL_WIDTH / columns, 0.2, 0.15, 0.25  # inches
    block = title + math.ceil((2 + len(methods)) / columns) * (side + caption)
    height = len(shown[0]) * block + foot
    figure = plt.figure(figsize=(FULL_WIDTH, height))
    for row, same in enumerate(zip(*shown, strict=True)):
        first = same[0]
        tiles = [("image", first.image), ("truth", overlay(first.image, first.truth, first.truth))]
        for method, one in zip(methods, same, strict=True):
            tiles.append((f"{method.name} {one.iou:.2f}", overlay(one.image, one.truth, one.prediction)))
        _text(figure, 0.03, row * block + title / 2, textwrap.shorten(first.expression, 110), height, fontsize=7.5)
        for place, (name, picture) in enumerate(tiles):
            x, y = place % columns * side, row * block + title + place // columns * (side + caption)
            box = (x + 0.02 * side) / FULL_WIDTH, 1 - (y + 0.98 * side) / height, 0.96 * side, 0.96 * side
            axis = figure.add_axes((*box[:2], box[2] / FULL_WIDTH, box[3] / height))
            axis.set_axis_off()
            axis.imshow(picture)
            _text(figure, x + side / 2, y + side + caption / 3, name, height, fontsize=6, ha="center")
    figure.legend(
        handles=[Patch(color=f"#{bytes(color).hex()}", label=name) for name, color in LEGEND.items()],
        loc="lower center",
        ncols=len(LEGEND),
        frameon=False,
        borderaxespad=0.1,
    )
    return figure


def _text(figure: Figure, x: float, y: float, text: str, height: float, **style: Any) -> None:
    """Text at (x, y) inches from the upper left corner."""
    figure.text(x / FULL_WIDTH, 1 - y / height, text, va="center", **style)


def _legend(figure: Figure, axis: Axes) -> None:
    """Two columns below the axes, for which the figure grows."""
    handles, labels = axis.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.1 + 0.15 * math.ceil(len(labels) / 2))
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def _line(axis: Axes, x: Any, y: Any, style: Style, *, label: str | None = None, markers: bool = False) -> None:
    axis.plot(
        x, y, color=style.color, linestyle=style.dash, linewidth=1.2, label=label,
        marker=style.marker if markers else None, markersize=3.5, markeredgewidth=0,
    )  # fmt: skip


def _set_theme() -> None:
    size = {"font.size": 7.5, "axes.labelsize": 7.5, "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7}
    exact = {"pdf.fonttype": 42, "font.family": "DejaVu Sans", "figure.dpi": 200, "axes.titlesize": 7.5}
    sns.set_theme(context="paper", style="whitegrid", rc={**size, **exact, "grid.linewidth": 0.5, "xtick.major.pad": 1})


def _save(figure: Figure, path: Path) -> Path:
    """Write <path>.png and <path>.pdf without dates or program names."""
    dpi = PHOTO_DPI if path.name == "examples" else "figure"
    figure.savefig(path.with_suffix(".png"), dpi=dpi, metadata={"Software": None})
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None, "Creator": None, "Producer": None})
    plt.close(figure)
    return path.with_suffix(".png")
