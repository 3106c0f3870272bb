"""Metrics of protocol 1.0, as pure functions of the per-sample table.

Unusual here: every metric is a ratio of two sums over samples, and `terms` is the one place that says which two. The
numbers in a table, their bootstrap intervals and their paired tests all come from the same two columns.

`lines` is everywhere the per-sample table: one row per sample with the columns LINE_COLUMNS, areas in pixels at the
image's own size. What was measured in detail besides has further columns: BOUNDARY_COLUMNS, and side_columns() of each
side that the masks were resized to. benchmark/README.md gives the formulas and the reasons.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

LINE_COLUMNS = ("sample_id", "image_id", "category", "mask_area", "predicted_area", "intersection", "union")
BOUNDARY_COLUMNS = ("boundary_intersection", "boundary_union")  # benchmark/metrics/boundary.py
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # literals: 3/5 and 0.6 are then the same double, so IoU >= X is exact

_SIDE_COLUMN = re.compile(r"(intersection|union)_[1-9]\d*")

FloatArray = npt.NDArray[np.float64]


def precision_name(x: float) -> str:
    """Name of precision@x in files; MLflow does not allow "@" in a metric's name."""
    return f"precision_{x:g}"


def side_columns(side: int) -> tuple[str, str]:
    """Where the table has intersection and union of the masks resized to side x side pixels."""
    return f"intersection_{side}", f"union_{side}"


METRIC_NAMES = ("miou", "oiou", *(precision_name(x) for x in THRESHOLDS))
NO_TARGET = "no_target_accuracy"  # of the no-target samples; measured where there are any
BOUNDARY = "boundary_iou"  # measured where the boundaries are


def metric_names(lines: pd.DataFrame) -> tuple[str, ...]:
    """The metrics of a table: METRIC_NAMES, BOUNDARY if it was measured, and NO_TARGET if a sample has no target."""
    boundary = (BOUNDARY,) if set(BOUNDARY_COLUMNS) <= set(lines.columns) else ()
    return (*METRIC_NAMES, *boundary, *((NO_TARGET,) if (lines["mask_area"] == 0).any() else ()))


def iou(lines: pd.DataFrame) -> FloatArray:
    """Intersection over union of each sample, in [0, 1]; 1 where prediction and truth are both empty."""
    intersection = lines["intersection"].to_numpy(dtype=np.float64)
    union = lines["union"].to_numpy(dtype=np.float64)
    return ratio(intersection, union)


def terms(lines: pd.DataFrame, metric: str) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator of each sample, so that the metric is sum(numerator) / sum(denominator).

    A sample without a target (an empty true mask) counts for NO_TARGET alone, every other one for all the others.

    Raises:
        ValueError: if `metric` is none of METRIC_NAMES, BOUNDARY and NO_TARGET, or was not measured.
    """
    target = (lines["mask_area"].to_numpy() > 0).astype(np.float64)
    if metric == "miou":
        return iou(lines) * target, target
    if metric == "oiou":
        intersection, union = (lines[name].to_numpy(dtype=np.float64) for name in ("intersection", "union"))
        return intersection * target, union * target
    if metric in METRIC_NAMES:
        return _passes(lines, float(metric.removeprefix("precision_"))) * target, target
    if metric == BOUNDARY:
        if missing := [name for name in BOUNDARY_COLUMNS if name not in lines.columns]:
            raise ValueError(f"per-sample table lacks the column(s) {missing}: boundaries were not measured")
        return ratio(*(lines[name].to_numpy(dtype=np.float64) for name in BOUNDARY_COLUMNS)) * target, target
    if metric == NO_TARGET:
        return iou(lines) * (1 - target), 1 - target
    known = ", ".join((*METRIC_NAMES, BOUNDARY, NO_TARGET))
    raise ValueError(f"unknown metric {metric!r}; the metrics of this protocol are {known}")


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator; 1 where the denominator is 0: nothing was there to be missed."""
    values: FloatArray = np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)
    return values


def miou(lines: pd.DataFrame) -> float:
    """Mean IoU of the samples with a target, in [0, 1] (RSRefSeg's gIoU)."""
    return _value(*terms(lines, "miou"))


def oiou(lines: pd.DataFrame) -> float:
    """Overall IoU: summed intersections over summed unions, in [0, 1] (also cIoU). Large objects weigh more."""
    return _value(*terms(lines, "oiou"))


def precision(lines: pd.DataFrame, x: float) -> float:
    """Precision@x: share of samples with a target whose IoU is >= x, in [0, 1], for any x."""
    target = (lines["mask_area"].to_numpy() > 0).astype(np.float64)
    return _value(_passes(lines, x) * target, target)


def summary(lines: pd.DataFrame) -> dict[str, float]:
    """All metrics of the table by name (`metric_names`), each in [0, 1].

    Raises:
        ValueError: if the table has no rows or lacks a column.
    """
    check_lines(lines)
    return {name: _value(*terms(lines, name)) for name in metric_names(lines)}


def check_lines(lines: pd.DataFrame) -> None:
    """Refuse a table that cannot be a per-sample table.

    Raises:
        ValueError: no rows, missing or unknown column, repeated sample_id, or areas that contradict each other.
    """
    if missing := [name for name in LINE_COLUMNS if name not in lines.columns]:
        raise ValueError(f"per-sample table lacks the column(s) {missing}; it needs {list(LINE_COLUMNS)}")
    known = (*LINE_COLUMNS, *BOUNDARY_COLUMNS)
    if unknown := [name for name in lines.columns if name not in known and not _SIDE_COLUMN.fullmatch(name)]:
        raise ValueError(f"per-sample table has the unknown column(s) {unknown}; it may have {list(known)}")
    if lines.empty:
        raise ValueError("per-sample table has no rows: there is nothing to measure")
    if (repeated := lines["sample_id"].duplicated()).any():
        raise ValueError(f"per-sample table has sample_id {lines['sample_id'][repeated].iloc[0]!r} more than once")
    areas = lines[["mask_area", "predicted_area", "intersection", "union"]]
    truth, predicted, both, either = (areas[name].to_numpy() for name in areas.columns)
    bad = (both < 0) | (both > np.minimum(truth, predicted)) | (either != truth + predicted - both)
    if bad.any():
        row = lines.iloc[int(np.argmax(bad))]
        raise ValueError(
            f"sample {row['sample_id']!r}: mask_area {row['mask_area']}, predicted_area {row['predicted_area']}, "
            f"intersection {row['intersection']} and union {row['union']} contradict each other; evaluate again"
        )
    for column in lines.columns:
        if column not in LINE_COLUMNS and "intersection" in column:
            both, either = lines[column].to_numpy(), lines[column.replace("intersection", "union")].to_numpy()
            if ((both < 0) | (both > either)).any():
                row = lines.iloc[int(np.argmax((both < 0) | (both > either)))]
                raise ValueError(
                    f"sample {row['sample_id']!r}: {column} {row[column]} exceeds its union; evaluate again"
                )


def _passes(lines: pd.DataFrame, x: float) -> FloatArray:
    return (iou(lines) >= x).astype(np.float64)


def _value(numerator: FloatArray, denominator: FloatArray) -> float:
    return float(ratio(numerator.sum(keepdims=True), denominator.sum(keepdims=True))[0])
