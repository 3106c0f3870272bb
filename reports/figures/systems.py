"""Figures of the systems beside each other: accuracy against speed, and the same samples by all of them."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from benchmark.output.escaping import visible
from reports.figures.sheets import examples_sheet
from reports.figures.style import FULL_WIDTH, Look, legend, name_of, save, style_of
from reports.report import Comparison

SYSTEMS = "systems"  # the folder of these figures


def systems_captions(comparison: Comparison) -> dict[str, str]:
    """Figure -> what it shows, in the order of the page."""
    sheets = {
        f"examples_{group.dataset}{comparison.suffix}": (
            f"{group.dataset}: samples chosen by a rule before any model ran, by each system at its first seed."
        )
        for group in comparison.groups
    }
    return {f"speed{comparison.suffix}": "mIoU with 95 % intervals against images predicted a second.", **sheets}


def save_systems(comparison: Comparison, look: Look, root: Path) -> list[Path]:
    """Write the figures of a comparison under <root>/systems/ and name the files that a page shows."""
    folder = root / SYSTEMS
    folder.mkdir(parents=True, exist_ok=True)
    speed, *sheets = systems_captions(comparison)
    written = []
    if (figure := accuracy_and_speed(comparison, look)) is not None:
        written.append(save(figure, folder / speed))
    for name, group in zip(sheets, comparison.groups, strict=True):
        if (figure := examples_sheet(group)) is not None:
            written.append(save(figure, folder / name, photographs=True))
    return written


def accuracy_and_speed(comparison: Comparison, look: Look) -> Figure | None:
    """mIoU over images predicted a second, a panel for each dataset; None where no speed was measured."""
    speeds = {
        one.title: comparison.speeds[one.model].images for one in comparison.known if one.model in comparison.speeds
    }
    if not speeds:
        return None
    figure, axes = plt.subplots(
        1, len(comparison.groups), figsize=(FULL_WIDTH, 2.0), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, group in zip(axes[0], comparison.groups, strict=True):
        for method in group.methods:
            style, x = style_of(look, method), speeds.get(method.name, np.nan)
            value = low = high = np.nan
            if method.results:
                value = 100 * method.metrics["miou"]
                low, high = (100 * bound for bound in group.intervals[method.key]["miou"])
            axis.plot([x, x], [low, high], color=style.color, linewidth=1)
            filled = "white" if method.collapsed else style.color
            axis.plot(
                x, value, style.marker, color=style.color, markersize=5, markerfacecolor=filled, label=name_of(method)
            )
        axis.set(title=visible(group.dataset), xlabel="images per second", ylim=(0, None))
        axis.set_xlim(0, 1.15 * max(speeds.values()))
    axes[0][0].set(ylabel="mIoU (%)")
    legend(figure, axes[0][0])
    return figure
