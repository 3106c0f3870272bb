"""The short tables: the README's, of one dataset, and the page's first, of all of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.metrics.iou import precision_name
from benchmark.metrics.statistics import paired_difference
from benchmark.output import escaping
from benchmark.results.schema import METRICS
from benchmark.results.store import StoredResult
from reports.groups import Group, Method, kinds_of
from reports.report import Report
from reports.tables.main import (
    SPREAD_NOTE,
    collapse_notes,
    folder_of,
    interval_note,
    method_notes,
    seeds_note,
    with_interval,
)
from reports.tables.rendering import MISSING, Cell, Table, millions, percent, signed

COLUMNS = ("oiou", precision_name(0.5))  # beside mIoU


def headline_table(group: Group) -> Table:
    """The variants that `run` names and the best training-free baseline, in the metrics that are read first."""
    best = best_control(group)
    methods = [*group.headlined, *([best] if best is not None else [])]
    others = [method.name for method in group.trained if method not in group.headlined]
    rows = []
    for method in methods:
        known = bool(method.results)
        cells = [Cell(f"{method.title} (training-free)" if method.control else method.label)]
        cells.append(Cell(with_interval(group, method) if known else MISSING))
        cells += [Cell(percent(method.metrics[name]) if known else MISSING) for name in COLUMNS]
        rows.append((*cells, Cell(millions(method.train_mean("parameters_trained")))))
    samples, images = group.size
    notes = (
        f"{group.dataset}, test split: {samples:,} samples on {images:,} images, in %. {seeds_note(group)} "
        f"{SPREAD_NOTE * (len(group.seeds) > 1)}{interval_note(group)} Last row: the best of the training-free "
        f"baselines.{f' More variants in docs/results.md: {len(others)}.' if others else ''}",
        *method_notes(group),
        *collapse_notes(group),
    )
    return Table(
        "headline",
        folder_of(group),
        f"Headline on {group.title}",
        ("variant", "mIoU [95 %]", *(METRICS[name].title for name in COLUMNS), "trained parameters"),
        tuple(rows),
        notes,
        pd.DataFrame(
            [{"variant": method.title, "collapsed": len(method.collapsed), **method.metrics} for method in methods]
        ),
        rule_before=len(group.headlined),
    )


def summary_table(report: Report) -> Table:
    """One row for each dataset and model: the best variant, and what it is worth."""
    rows, numbers = [], []
    for group in report.groups:
        variant, control = best_variant(group), best_control(group)
        runs = [one for method in group.trained for one in method.results]
        collapsed = [one for method in group.trained for one in method.collapsed]
        gain, said = None, MISSING
        if variant is not None and control is not None:
            gain = variant.metrics["miou"] - control.metrics["miou"]
            said = f"{_gain(variant, control)} over {control.name}"
        rows.append(
            (
                Cell(group.title),
                Cell(variant.label if variant is not None else MISSING),
                Cell(with_interval(group, variant) if variant is not None else MISSING),
                Cell(said),
                Cell(", ".join(str(seed) for seed in group.seeds) or MISSING),
                Cell(_collapsed(collapsed, len(runs))),
            )
        )
        numbers.append(
            {"dataset": group.dataset, "model": group.model, "variant": variant.title if variant else None}
            | {"miou": None if variant is None else round(100 * variant.metrics["miou"], 2)}
            | {"gain": None if gain is None else round(100 * gain, 2), "collapsed": len(collapsed), "runs": len(runs)}
        )
    return Table(
        "summary",
        Path(),
        "Summary",
        ("dataset · model", "best variant", "mIoU [95 %]", "gain over the best baseline", "seeds", "collapsed runs"),
        tuple(rows),
        (
            "In %; gains in percentage points of mIoU. Best variant: of the highest mean mIoU over seeds, which among "
            "many is partly luck (the ablation tables have intervals); best baseline: of the training-free ones. A run "
            "has collapsed where its masks are nearly all empty, full or the same (benchmark/README.md); means and "
            "gains are over collapsed runs too.",
        ),
        pd.DataFrame(numbers),
    )


def other_datasets(report: Report) -> str:
    """One line of Markdown for each group but the first: what a reader of the headline must know of the others. Other
    models that are compared as systems have a table of their own.

    It is of the full model, not of the best variant, whose lead over so many others is partly luck; of that one it says
    how far it is ahead.
    """
    lines = []
    compared = {system.model for one in report.comparisons for system in one.systems} - {report.groups[0].model}
    for group in report.groups[1:]:
        if group.model in compared:
            continue
        best, control = best_variant(group), best_control(group)
        variant = group.full or best
        if variant is not None:
            gain = "" if control is None else f"; over {control.name}, training-free: {_gain(variant, control)}"
            runs = sum(len(method.results) for method in group.trained)
            collapsed = [one for method in group.trained for one in method.collapsed]
            said = f"; {len(collapsed)} of {runs} trained runs collapsed: {kinds_of(collapsed)}" if collapsed else ""
            if best is not None and best is not variant:
                several = sum(bool(method.results) for method in group.trained)
                said = (
                    f"; highest of {several} variants: {best.label}, {_gain(best, variant)} over {variant.name}{said}"
                )
            said = f"{group.title}: {variant.label} has mIoU {with_interval(group, variant)}{gain}{said}."
            lines.append(f"* {escaping.markdown(said)}")
    return "\n".join(["The other datasets:\n", *lines]) if lines else ""


def _collapsed(collapsed: list[StoredResult], runs: int) -> str:
    """How many of some runs collapsed, and to what."""
    return f"{len(collapsed)} of {runs}" + (f" ({kinds_of(collapsed)})" if collapsed else "")


def _gain(variant: Method, control: Method) -> str:
    """What the variant's mIoU has more than the control's, with its interval, in percentage points."""
    gain, low, high = paired_difference(variant.lines, control.lines, over_seeds=True)
    return f"{signed(gain)} [{signed(low)}, {signed(high)}]"


def best_variant(group: Group) -> Method | None:
    """The trained variant of the highest mean mIoU; None where no variant is complete."""
    return max((one for one in group.trained if one.results), key=lambda one: one.metrics["miou"], default=None)


def best_control(group: Group) -> Method | None:
    """The training-free baseline of the highest mIoU; None without any."""
    controls = (method for method in group.present if method.control)
    return max(controls, key=lambda method: method.metrics["miou"], default=None)
