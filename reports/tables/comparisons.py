"""Tables that set methods side by side: against the full model, under other conventions, by cost, beside the published.

Each is a pure function of a group; None where there is nothing to show.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from benchmark.metrics.calibration import THRESHOLDS as CUTS
from benchmark.metrics.calibration import calibration_error, miou_by_threshold
from benchmark.metrics.iou import METRIC_NAMES
from benchmark.metrics.permutation import holm, many_permutation_p
from benchmark.metrics.protocols import PROTOCOLS, summary_under
from benchmark.metrics.statistics import Difference
from benchmark.results.schema import METRICS
from reports.groups import COMPARED, Group
from reports.tables.main import NO_VERDICT, collapse_notes, folder_of, interval_note, seeds_note
from reports.tables.rendering import MISSING, Cell, Table, duration, millions, percent, signed

LEVEL = 0.05
SAMPLES_NOTE = "The same predictions in every row: what differs is the convention alone (benchmark/README.md)."


def ablation_table(group: Group) -> Table | None:
    """What each variant loses or gains against the full model, paired by sample."""
    full = group.full
    others = [method for method in group.methods if not method.control and method is not full]
    if full is None or not others:
        return None
    found = group.differences
    p_values = many_permutation_p((one.title, (one.lines, full.lines)) for one in others if one.title in found)
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rows = [(Cell(full.label), *(Cell(percent(full.metrics[name])) for name in COMPARED), Cell(""), Cell(""))]
    numbers: list[dict[str, str | float]] = []
    for method in others:
        if method.title not in found:
            rows.append((Cell(method.label), *[Cell(MISSING)] * (len(COMPARED) + 2)))
            numbers.append({"variant": method.title})
            continue
        differences, p = found[method.title], adjusted[method.title]
        cells = [Cell(f"{signed(value)} [{signed(low)}, {signed(high)}]") for value, low, high in differences.values()]
        collapsed = method.collapsed or full.collapsed
        mark = NO_VERDICT if collapsed else verdict_of(p, differences["miou"])
        rows.append((Cell(method.label), *cells, Cell(said_p(p)), Cell(mark)))
        numbers.append(
            {"variant": method.title}
            | {
                name + end: round(100 * part, 2)
                for name, values in differences.items()
                for end, part in zip(("", "_low", "_high"), values, strict=True)
            }
            | {"p": round(p_values[method.title], 5), "p_holm": round(p, 5), "mark": mark}
        )
    notes = (
        "First row: the full model, in %. Below: the variant less the full model on the same samples, in percentage "
        f"points. {seeds_note(group)} {interval_note(group)} "
        "p: of the difference in mIoU, permutation test over images (seeds averaged), corrected by Holm over this "
        f"table. Verdict: better or worse where p is below {LEVEL:g} and the interval excludes 0, else inconclusive.",
        *collapse_notes(group),
    )
    return Table(
        "ablation",
        folder_of(group),
        f"What each part is worth on {group.title}",
        ("variant", *(f"{METRICS[name].title} [95 %]" for name in COMPARED), "p", "verdict"),
        tuple(rows),
        notes,
        pd.DataFrame(numbers),
        rule_before=1,
    )


def verdict_of(p: float, difference: Difference) -> str:
    """Whether a difference in mIoU, with its interval, is one."""
    value, low, high = difference
    if p >= LEVEL or low <= 0 <= high:
        return "inconclusive"
    return "better" if value > 0 else "worse"


def protocols_table(group: Group) -> Table | None:
    """The same predictions under the conventions of others."""
    if not group.present:
        return None
    rows, numbers = [], []
    for method in group.methods:
        for name, protocol in PROTOCOLS.items():
            each = [summary_under(lines, protocol) for lines in method.lines]
            known = [values for values in each if values is not None]
            cells: list[Cell] = []
            row: dict[str, str | float | None] = {"variant": method.title, "protocol": name}
            for metric in METRIC_NAMES:
                whole = bool(each) and len(known) == len(each)
                value = float(np.mean([values[metric] for values in known])) if whole else None
                undefined = value is not None and math.isnan(value)
                cells.append(Cell(MISSING if value is None else ("0/0" if undefined else percent(value))))
                row[metric] = None if value is None or undefined else round(100 * value, 2)
            rows.append((Cell(method.label), Cell(protocol.title), *cells))
            numbers.append(row)
    return Table(
        "protocols",
        folder_of(group),
        f"What the convention is worth on {group.title}",
        ("variant", "protocol", *(METRICS[name].title for name in METRIC_NAMES)),
        tuple(rows),
        (
            f"{SAMPLES_NOTE} In %. {seeds_note(group)} 0/0: an empty union, which that code divides by.",
            *collapse_notes(group),
        ),
        pd.DataFrame(numbers),
    )


def cost_table(group: Group) -> Table | None:
    """What training and prediction cost."""
    if not group.present:
        return None
    columns = {  # of the numbers -> title and print
        "parameters_trained": ("params trained", millions),
        "parameters_total": ("params total", millions),
        "epochs": ("epochs", said_count),
        "steps": ("steps", said_count),
        "seconds": ("training time", duration),
        "peak_memory_mb": ("peak memory (MB)", said_count),
        "images_per_second": ("images/s", said_rate),
    }
    rows, numbers = [], []
    for method in group.methods:
        values: dict[str, float | None] = dict.fromkeys(columns)
        if method.results:
            values = {name: method.train_mean(name) for name in columns if name != "images_per_second"}
            values["images_per_second"] = method.images_per_second
        numbers.append({"variant": method.title, **{name: _rounded(value) for name, value in values.items()}})
        cells = (Cell(show(values[name]), value=values[name]) for name, (_, show) in columns.items())
        rows.append((Cell(method.label), *cells))
    run_here = [method for method in group.present if method.outside is None]
    devices = sorted({stored.result.meta.device for method in run_here for stored in method.results})
    return Table(
        "cost",
        folder_of(group),
        f"Cost on {group.title}",
        ("variant", *(title for title, _ in columns.values())),
        tuple(rows),
        (
            f"{seeds_note(group)} Made on: {'; '.join(devices)}. images/s: prediction of the test split, all "
            "expressions of an image together, from decoded images to masks at their own size. Peak memory: of the "
            "training process. Times are of one machine and are no part of what experiments.verify compares.",
        ),
        pd.DataFrame(numbers),
    )


def calibration_table(group: Group) -> Table | None:
    """mIoU at other thresholds of the mask probability, and how far that probability is from a frequency."""
    if not any(one.sweep is not None for method in group.present for one in method.results):
        return None
    rows: list[tuple[Cell, ...]] = []
    numbers: list[dict[str, str | float]] = []
    for method in group.methods:
        if not method.results or any(one.sweep is None for one in method.results):
            rows.append((Cell(method.label), *[Cell(MISSING)] * (len(CUTS) + 3)))
            numbers.append({"variant": method.title})
            continue
        pairs = [(one.sweep, one.lines) for one in method.results if one.sweep is not None]
        mious = np.mean([miou_by_threshold(*pair) for pair in pairs], axis=0)
        error = float(np.mean([calibration_error(*pair) for pair in pairs]))
        best = int(np.argmax(mious))
        half = CUTS.index(0.5)
        rows.append(
            (
                Cell(method.label),
                *(Cell(percent(value)) for value in mious),
                Cell(f"{CUTS[best]:g}"),
                Cell(signed(mious[best] - mious[half])),
                Cell(percent(error)),
            )
        )
        numbers.append(
            {"variant": method.title}
            | {f"miou_at_{cut:g}": round(100 * value, 2) for cut, value in zip(CUTS, mious, strict=True)}
            | {"best_threshold": CUTS[best], "calibration_error": round(100 * error, 2)}
        )
    return Table(
        "calibration",
        folder_of(group),
        f"Thresholds and calibration on {group.title}",
        ("variant", *(f"mIoU at {cut:g}" for cut in CUTS), "best at", "gain there", "ECE"),
        tuple(rows),
        (
            f"In %. {seeds_note(group)} Every reported number is of threshold 0.5; the best one is chosen on the test "
            "split itself, so its gain is an upper bound, not a result. ECE: expected calibration error of the pixels' "
            f"probabilities, ten bins. {MISSING}: without a result, or without a probability (whole_image, masks from "
            "elsewhere).",
            *collapse_notes(group),
        ),
        pd.DataFrame(numbers),
    )


def said_p(value: float) -> str:
    """A p in print."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def said_count(value: float | None) -> str:
    """A whole number in print, or MISSING."""
    return MISSING if value is None else f"{value:,.0f}"


def said_rate(value: float | None) -> str:
    """So many a second in print, or MISSING."""
    return MISSING if value is None else f"{value:.1f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
