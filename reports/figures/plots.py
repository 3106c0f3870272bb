"""Figures of numbers, as PNG and PDF, the same bytes from the same results. sheets.py has those of pictures."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.metrics.iou import THRESHOLDS, iou, precision_name
from benchmark.output.escaping import visible
from benchmark.results.schema import METRICS
from reports.figures.sheets import activations_sheet, cases_sheet, examples_sheet, readme_picture
from reports.figures.style import WIDTH, Look, band, legend, line, name_of, save, set_theme, style_of, styles
from reports.figures.systems import save_systems
from reports.groups import Group, Method
from reports.report import Report

BINS = 6  # of object size, each with as many samples
AFRESH = multiprocessing.get_context("spawn")  # a copy of this process would lack the threads that read tables
CATEGORIES = 40  # the most frequent ones that a heat map shows

CAPTIONS = {  # figure -> what it shows, in the order of the page
    "examples": "Samples chosen by a rule before any model ran.",
    "cases": "Samples chosen by a rule from the results: where the full model gains most on the mean of the other "
    "variants, loses most to it, is at its median, and at random. The number is the sample's IoU.",
    "activations": "The same samples: what the text lights up in the prompter of the full model, and its dense prompt.",
    "metrics": "mIoU and oIoU with 95 % intervals.",
    "differences": "What each variant gains or loses in mIoU against the full model, with 95 % intervals.",
    "precision": "Share of samples whose IoU reaches X, with 95 % intervals.",
    "distribution": "How the IoU of samples is distributed; markers are medians, lines the quartiles.",
    "size": "mIoU by the object's share of the image, in bins of as many samples each, with 95 % intervals.",
    "categories": "mIoU by category, in %.",
    "training": "Training loss by step, validation mIoU by epoch; bands are ± one standard deviation over seeds.",
    "cost": "mIoU against trained parameters and speed.",
}
SHEETS = {"cases": cases_sheet, "activations": activations_sheet, "examples": examples_sheet}


def save_all(report: Report, root: Path) -> list[Path]:
    """Write every figure under <root>/<dataset>/<model>/ and <root>/systems/, and name the files that a page shows;
    groups side by side."""
    look = styles(report)
    draw = partial(_save_group, look=look, root=root)
    if len(report.groups) == 1:
        found = [draw(group) for group in report.groups]
    else:
        with ProcessPoolExecutor(
            min(len(report.groups), os.cpu_count() or 1),
            AFRESH,
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        ) as pool:
            found = list(pool.map(draw, report.groups))
    set_theme()
    systems = [save_systems(comparison, look, root) for comparison in report.comparisons]
    picture = readme_picture(report)
    readme = [] if picture is None else [save(picture, root / "readme", photographs=True)]
    return [*chain(*found), *chain(*systems), *readme]


def _save_group(group: Group, look: Look, root: Path) -> list[Path]:
    """The figures of one group."""
    set_theme()
    folder, written = root / group.dataset / group.model, []
    folder.mkdir(parents=True, exist_ok=True)
    for name in CAPTIONS:
        figure = SHEETS[name](group) if name in SHEETS else DRAWN[name](group, look)
        if figure is not None:
            written.append(save(figure, folder / name, photographs=name in SHEETS))
    return written


def metric_bars(group: Group, look: Look) -> Figure:
    """mIoU and oIoU of every method with their 95 % intervals, in %."""
    methods = group.present
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 0.55 + 0.22 * len(methods)), sharey=True, layout="constrained")
    for axis, metric in zip(axes, ("miou", "oiou"), strict=True):
        for place, method in enumerate(methods):
            value = 100 * method.metrics[metric]
            low, high = (100 * bound for bound in group.intervals[method.key][metric])
            hatch = "////" if method.collapsed else None
            axis.barh(place, value, height=0.7, color=style_of(look, method).color, alpha=0.85, hatch=hatch)
            axis.plot([low, high], [place, place], color="black", linewidth=1)
            axis.text(max(high, value) + 1.5, place, f"{value:.1f}", va="center", fontsize=6.5)
        highest = max(100 * max(method.metrics[metric], group.intervals[method.key][metric][1]) for method in methods)
        axis.set(xlim=(0, max(10, 1.35 * highest)), xlabel=f"{METRICS[metric].title} (%)")
    _name_rows(axes[0], [name_of(method) for method in methods])
    axes[1].grid(visible=False, axis="y")
    return figure


def difference_plot(group: Group, look: Look) -> Figure | None:
    """mIoU of each variant less the full model's, with its 95 % interval, in percentage points; None without a pair."""
    found = {method.title: method for method in group.present if method.title in group.differences}
    full = group.full
    if not found or full is None:
        return None
    figure, axis = plt.subplots(figsize=(WIDTH, 0.5 + 0.24 * len(found)), layout="constrained")
    axis.axvline(0, color="black", linewidth=0.8)
    for place, (title, method) in enumerate(found.items()):
        value, low, high = (100 * part for part in group.differences[title]["miou"])
        style = style_of(look, method)
        axis.plot([low, high], [place, place], color=style.color, linewidth=1.6)
        filled = "white" if method.collapsed or full.collapsed else style.color
        axis.plot(value, place, style.marker, color=style.color, markersize=4.5, markerfacecolor=filled)
    axis.set(xlabel=f"difference from {name_of(full)} in mIoU\n(percentage points)", ylim=(-0.6, len(found) - 0.4))
    _name_rows(axis, [name_of(method) for method in found.values()])
    return figure


def precision_curves(group: Group, look: Look) -> Figure:
    """Precision@X over X with 95 % intervals, in %."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2.2), layout="constrained")
    for method in group.present:
        style, names = style_of(look, method), [precision_name(x) for x in THRESHOLDS]
        low, high = zip(*(group.intervals[method.key][name] for name in names), strict=True)
        band(axis, THRESHOLDS, 100 * np.array(low), 100 * np.array(high), style)
        values = [100 * method.metrics[name] for name in names]
        line(axis, THRESHOLDS, values, style, label=name_of(method), markers=True)
    axis.set(xlabel="X", ylabel="precision@X (%)", xticks=THRESHOLDS, ylim=(0, None))
    legend(figure, axis)
    return figure


def iou_distributions(group: Group, look: Look) -> Figure:
    """The IoU of the samples with a target, all seeds together, as one shape for each method."""
    methods = group.present
    parts = [
        pd.DataFrame({"method": name_of(method), "iou": iou(lines)[lines["mask_area"] > 0]})
        for method in methods
        for lines in method.lines
    ]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.45 + 0.3 * len(methods)), layout="constrained")
    sns.violinplot(
        pd.concat(parts), x="iou", y="method", hue="method", legend=False, ax=axis, cut=0, inner="quart",
        density_norm="width", linewidth=0.7, width=0.9,
        palette={name_of(method): style_of(look, method).color for method in methods},
    )  # fmt: skip
    for place, method in enumerate(methods):  # the median once more: of one value only there is no shape to draw
        median = float(
            np.median(np.concatenate([part["iou"] for part in parts if part["method"].iloc[0] == name_of(method)]))
        )
        axis.plot(median, place, style_of(look, method).marker, color="white", markeredgecolor="black", markersize=3.5)
    axis.set(xlabel="IoU of a sample", ylabel="", xlim=(-0.01, 1.01))
    axis.grid(visible=False, axis="y")
    return figure


def miou_by_size(group: Group, look: Look) -> Figure | None:
    """mIoU of the variants over the object's share of the image, in BINS bins of as many samples each.

    None without a variant.
    """
    methods = [method for method in group.present if not method.control]
    if not methods:
        return None
    sizes = group.described.set_index("sample_id")["size"]
    share = sizes[sizes > 0]
    bins = pd.qcut(share, BINS, labels=False, duplicates="drop")
    parts = {place: members.index for place, members in bins.groupby(bins)}
    places = [100 * float(share[names].median()) for names in parts.values()]
    mious = group.mious_of(methods, parts)
    figure, axis = plt.subplots(figsize=(WIDTH, 2.2), layout="constrained")
    for method in methods:
        found = [100 * np.array(mious[place, method.key]) for place in parts]
        values, low, high = np.stack(found, axis=1)
        band(axis, places, low, high, style_of(look, method))
        line(axis, places, values, style_of(look, method), label=name_of(method), markers=True)
    axis.set(xscale="log", xlabel="object's share of the image (%)", ylabel="mIoU (%)", ylim=(0, None))
    for formatter in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else "")  # 0.5, 1, 2, 5, 10
    legend(figure, axis)
    return figure


def category_map(group: Group, look: Look) -> Figure | None:
    """mIoU of each variant on each category, in %; None without categories or variants."""
    methods = [method for method in group.present if not method.control]
    if not methods:
        return None
    first = methods[0].lines[0]
    counts = first.loc[first["mask_area"] > 0, "category"].value_counts()
    if counts.empty:
        return None
    names = sorted(counts.index, key=lambda name: (-counts[name], name))[:CATEGORIES]
    values = {name_of(method): [_category_miou(method, name) for name in names] for method in methods}
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.17 * len(names)), layout="constrained")
    rows = [f"{visible(name)} ({counts[name]:,})" for name in names]
    sns.heatmap(
        pd.DataFrame(values, index=rows), ax=axis, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="viridis",
        cbar=False, annot_kws={"size": 6}, linewidths=0.5,
    )  # fmt: skip
    axis.tick_params(axis="x", rotation=30)
    for label in axis.get_xticklabels():
        label.set_horizontalalignment("right")
    axis.set(ylabel=f"the {len(names)} most frequent of {len(counts)}" if len(names) < len(counts) else "")
    return figure


def training_curves(group: Group, look: Look) -> Figure | None:
    """Loss by step (mean of each 1/50 of the training) and validation mIoU by epoch, mean over seeds with its spread.

    None if nothing was trained.
    """
    trained = [method for method in group.present if any(one.curve is not None for one in method.results)]
    if not trained:
        return None
    figure, (loss, miou) = plt.subplots(1, 2, figsize=(WIDTH, 1.7), layout="constrained")
    for method in trained:
        curves = [one.curve for one in method.results if one.curve is not None]
        width = max(1, math.ceil(max(curve["step"].max() for curve in curves) / 50))
        for axis, each, markers in (
            (loss, [_smooth(curve, width) for curve in curves], False),
            (miou, [100 * curve.dropna(subset=["val_miou"]).set_index("epoch")["val_miou"] for curve in curves], True),
        ):
            table = pd.concat(each, axis=1)
            mean, spread = table.mean(axis=1), table.std(axis=1).fillna(0)
            band(axis, mean.index, mean - spread, mean + spread, style_of(look, method))
            line(axis, mean.index, mean, style_of(look, method), label=name_of(method), markers=markers)
    loss.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    miou.set(xlabel="epoch", ylabel="validation mIoU (%)", ylim=(0, None))
    miou.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, loss)
    return figure


def accuracy_and_cost(group: Group, look: Look) -> Figure | None:
    """mIoU over trained parameters (millions) and over images a second; None without a variant."""
    methods = [method for method in group.trained if method.results]
    panels = {
        "trained parameters (M)": [_in_millions(method) for method in methods],
        "images per second": [method.images_per_second for method in methods],
    }
    if not any(value is not None for values in panels.values() for value in values):
        return None
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 1.8), sharey=True, layout="constrained")
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        for method, value in zip(methods, values, strict=True):
            style = style_of(look, method)
            low, high = (100 * bound for bound in group.intervals[method.key]["miou"])
            x = np.nan if value is None else value
            axis.plot([x, x], [low, high], color=style.color, linewidth=1)
            axis.plot(
                x, 100 * method.metrics["miou"], style.marker, color=style.color, markersize=5, label=name_of(method)
            )
        highest = max((value for value in values if value is not None), default=1)
        axis.set(xlabel=title, xlim=(0, 1.1 * highest), ylim=(0, None))
    axes[0].set(ylabel="mIoU (%)")
    legend(figure, axes[0])
    return figure


def _name_rows(axis: Axes, names: list[str]) -> None:
    """Names down the side, the first on top."""
    axis.set_yticks(range(len(names)), names)
    axis.grid(visible=False, axis="y")
    axis.invert_yaxis()


def _smooth(curve: pd.DataFrame, width: int) -> pd.Series:
    """The mean loss of every `width` steps, by their last step."""
    last = ((curve["step"] - 1).clip(lower=0) // width + 1) * width
    means: pd.Series = curve.groupby(last)["loss"].mean()
    return means


def _category_miou(method: Method, category: str) -> float:
    parts = [lines[(lines["category"] == category) & (lines["mask_area"] > 0)] for lines in method.lines]
    return 100 * float(np.mean([iou(part).mean() for part in parts]))


def _in_millions(method: Method) -> float | None:
    count = method.train_mean("parameters_trained")
    return None if count is None else count / 1e6


DRAWN = {
    "metrics": metric_bars,
    "differences": difference_plot,
    "precision": precision_curves,
    "distribution": iou_distributions,
    "size": miou_by_size,
    "categories": category_map,
    "training": training_curves,
    "cost": accuracy_and_cost,
}
