"""Bootstrap intervals and paired differences, computed from the per-sample tables.

What is resampled is the image, not the expression: the expressions of one image share its light, its scale and often
their mask, so treating them as independent would make every interval too narrow. Metrics are ratios of two sums over
samples (benchmark/metrics.py), so a resample needs only the sums of each image: how often each image was drawn times
those sums is one small matrix product, made in chunks so that memory stays flat.

Several tables are several seeds of one run: the statistic is then the mean of the metric over them, every one seen
under the same draw of images. The interval says how far that mean depends on the images; it does not cover the choice
of seeds.

Dimension letters: R resamples, G images, T tables, M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.metrics import METRIC_NAMES, FloatArray, check_lines, ratio, terms

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK = 1_000_000  # draws at a time: 8 MB, and as much for their counts

Lines = pd.DataFrame | Sequence[pd.DataFrame]
Interval = tuple[float, float]


def bootstrap_intervals(
    lines: Lines,
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Percentile intervals of several metrics at once, all under the same draws of images.

    Args:
        lines: one per-sample table, or one table per seed on the same samples (the statistic is then their mean).
        metrics: names from METRIC_NAMES.
        resamples: bootstrap resamples, at least 1.
        seed: of the draws; the same seed gives the same interval.
        confidence: in (0, 1).

    Returns:
        metric -> (low, high), each in [0, 1].

    Raises:
        ValueError: tables that are empty, malformed or not on the same samples; impossible settings.
    """
    tables = _tables(lines)
    resampled_RM = _means(_draw(_image_sums(tables, metrics), resamples, seed), len(tables), len(metrics))
    return dict(zip(metrics, _percentiles(resampled_RM, confidence), strict=True))


def bootstrap_interval(
    lines: Lines,
    metric: str = "miou",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """`bootstrap_intervals` of one metric: (low, high)."""
    return bootstrap_intervals(lines, (metric,), resamples=resamples, seed=seed, confidence=confidence)[metric]


def paired_difference(
    lines_a: Lines,
    lines_b: Lines,
    metric: str = "miou",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[float, float, float]:
    """Difference metric(a) - metric(b) on the same samples, with its percentile interval.

    Both sides see the same draw of images, so what makes an image hard for both cancels out.

    Returns:
        (difference, low, high), each in [-1, 1].

    Raises:
        ValueError: as `bootstrap_intervals`; also when a and b are not on the same samples.
    """
    tables_a, tables_b = _tables(lines_a), _tables(lines_b)
    tables = _same_samples([*tables_a, *tables_b])
    sums = _image_sums(tables, (metric,))
    both = np.concatenate([sums.sum(axis=0, keepdims=True), _draw(sums, resamples, seed)])
    split = 2 * len(tables_a)
    difference = _means(both[:, :split], len(tables_a), 1) - _means(both[:, split:], len(tables_b), 1)
    ((low, high),) = _percentiles(difference[1:], confidence)
    return float(difference[0, 0]), low, high


def _tables(lines: Lines) -> list[pd.DataFrame]:
    tables = [lines] if isinstance(lines, pd.DataFrame) else list(lines)
    if not tables:
        raise ValueError("no per-sample table given: there is nothing to resample")
    for table in tables:
        check_lines(table)
    return _same_samples(tables)


def _same_samples(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables in the first one's row order."""
    first = tables[0]
    aligned = [first]
    for table in tables[1:]:
        if different := sorted(set(first["sample_id"]) ^ set(table["sample_id"])):
            raise ValueError(
                f"the tables are not on the same samples: {len(different)} sample_id(s) are in one only, for example "
                f"{different[0]!r}; evaluate both runs on the same data"
            )
        table = table.set_index("sample_id", drop=False).loc[first["sample_id"]].reset_index(drop=True)
        for column in ("image_id", "mask_area"):
            unequal = first[column].to_numpy() != table[column].to_numpy()
            if unequal.any():
                row = int(np.argmax(unequal))
                sample, values = first["sample_id"].iloc[row], (first[column].iloc[row], table[column].iloc[row])
                raise ValueError(
                    f"sample {sample!r} has {column} {values[0]} in one table and {values[1]} in another; "
                    "evaluate both runs on the same data"
                )
        aligned.append(table)
    return aligned


def _image_sums(tables: list[pd.DataFrame], metrics: Sequence[str]) -> FloatArray:
    """Sums over the samples of each image, by order of image_id: G x 2TM, numerator beside denominator."""
    image, names = pd.factorize(tables[0]["image_id"], sort=True)
    columns = [column for table in tables for metric in metrics for column in terms(table, metric)]
    return np.stack([np.bincount(image, weights=column, minlength=len(names)) for column in columns], axis=1)


def _draw(sums_GK: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Sums of each resample of images, drawn with replacement: R x K."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; at least 1 is needed")
    images = len(sums_GK)
    rng = np.random.default_rng(seed)
    totals = np.empty((resamples, sums_GK.shape[1]))
    chunk = max(1, CHUNK // images)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = rng.integers(0, images, size=(rows, images)) + images * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)
        totals[start : start + rows] = counts.astype(np.float64) @ sums_GK
    return totals


def _means(sums: FloatArray, tables: int, metrics: int) -> FloatArray:
    """R x 2TM sums -> R x M values, each metric's mean over the tables."""
    numerator, denominator = np.moveaxis(sums.reshape(len(sums), tables, metrics, 2), -1, 0)
    values: FloatArray = ratio(numerator, denominator).mean(axis=1)
    return values


def _percentiles(values_RM: FloatArray, confidence: float) -> list[Interval]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, for example 0.95")
    tail = (1 - confidence) / 2
    low_M, high_M = np.quantile(values_RM, [tail, 1 - tail], axis=0)
    return [(float(low), float(high)) for low, high in zip(low_M, high_M, strict=True)]
