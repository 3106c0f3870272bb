"""How a mask changes with the threshold of its probability, kept as a few numbers per sample.

A prediction is where the logit is above 0, the probability above 1/2. From the areas at other thresholds follow both
the metrics at these thresholds and the calibration: pixels whose probability lies between two neighbouring thresholds,
and how many of them are the object's.

Table: sample_id, pixels (of the image), and for each of THRESHOLDS in order, as two lists, area (predicted pixels,
whose probability is above it) and intersection (of these, true ones).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.metrics.iou import FloatArray, ratio

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the probability
COLUMNS = ("sample_id", "pixels", "area", "intersection")
_LOGITS = np.array([np.log(t / (1 - t)) for t in THRESHOLDS], np.float32)
_LOGITS[THRESHOLDS.index(0.5)] = 0


def sweep_row(sample_id: str, truth: npt.NDArray[np.bool_], logits: npt.NDArray[np.float32]) -> dict[str, object]:
    """One row of the table, of an (H, W) mask and the logits of its prediction.

    Raises:
        ValueError: a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError(f"sample {sample_id!r}: the prediction has logits that are no numbers")
    area, intersection = (
        [int(np.count_nonzero(some > threshold)) for threshold in _LOGITS] for some in (logits, logits[truth])
    )
    return {"sample_id": sample_id, "pixels": int(logits.size), "area": area, "intersection": intersection}


def check_sweep(sweep: pd.DataFrame, lines: pd.DataFrame) -> None:
    """Refuse a table that is not the sweep of a per-sample table.

    Raises:
        ValueError: other columns or samples, or at 1/2 other areas than the lines say.
    """
    if tuple(sweep.columns) != COLUMNS:
        raise ValueError(f"the sweep has the columns {list(sweep.columns)}, it needs {list(COLUMNS)}")
    if sweep["sample_id"].tolist() != lines["sample_id"].tolist():
        raise ValueError("the sweep is not of the samples of the per-sample table; evaluate again")
    half = THRESHOLDS.index(0.5)
    for column, stated in (("area", "predicted_area"), ("intersection", "intersection")):
        values = np.stack(sweep[column].tolist())
        if values.shape != (len(sweep), len(THRESHOLDS)) or (values[:, half] != lines[stated]).any():
            raise ValueError(f"the sweep's {column} at 0.5 is not the per-sample table's {stated}; evaluate again")


def miou_by_threshold(sweep: pd.DataFrame, lines: pd.DataFrame) -> FloatArray:
    """mIoU at each of THRESHOLDS, in [0, 1], of the samples with a target."""
    area, intersection = (np.stack(sweep[name].tolist()).astype(np.float64) for name in ("area", "intersection"))
    truth = lines["mask_area"].to_numpy(np.float64)[:, None]
    iou = ratio(intersection, area + truth - intersection)
    values: FloatArray = iou[truth[:, 0] > 0].mean(axis=0)
    return values


def reliability(sweep: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """low, high, pixels, share: of the pixels whose probability lies in (low, high], how many are the object's.

    Of all samples together; share is NaN where there are no pixels.
    """
    area, intersection = (np.stack(sweep[name].tolist()).sum(axis=0) for name in ("area", "intersection"))
    above = np.concatenate([[sweep["pixels"].sum()], area, [0]])
    true = np.concatenate([[lines["mask_area"].sum()], intersection, [0]])
    pixels, hits = -np.diff(above), -np.diff(true)
    edges = (0.0, *THRESHOLDS, 1.0)
    share = np.divide(hits, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pixels": pixels, "share": share})


def calibration_error(sweep: pd.DataFrame, lines: pd.DataFrame) -> float:
    """Expected calibration error over the bins of `reliability`, in [0, 1]: |share - the bin's middle|, by pixels.

    (Guo et al., 2017, arXiv:1706.04599, with the middle of the bin for the mean confidence in it.)
    """
    bins = reliability(sweep, lines)
    bins = bins[bins["pixels"] > 0]
    gap = (bins["share"] - (bins["low"] + bins["high"]) / 2).abs()
    return float((gap * bins["pixels"]).sum() / bins["pixels"].sum())
