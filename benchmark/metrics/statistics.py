"""Bootstrap intervals, paired differences and permutation tests, computed from the per-sample tables.

What is resampled is the image, not the expression: the expressions of one image share its light, its scale and often
their mask, so treating them as independent would make every interval too narrow. Metrics are ratios of two sums over
samples (iou.py), so a resample needs only the sums of each image: how often each image was drawn times
those sums is one small matrix product, made in chunks so that memory stays flat.

Several tables are several seeds of one run: the statistic is then the mean of the metric over them, every one seen
under the same draw of images. Such an interval says how far that mean depends on the images. With ``over_seeds`` the
seeds are drawn as well (hierarchical: seeds, and under them one draw of images), so it covers both; of three seeds it
is still too narrow, as the spread of three says little about the spread of all.

Dimension letters: R resamples, G images, T tables, M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from benchmark.metrics.iou import METRIC_NAMES, FloatArray, check_lines, ratio, terms

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK = 1_000_000  # draws at a time and thread: 8 MB, and as much for their counts
THREADS = 2  # each chunk has its own stream of random numbers: the same result from any number

Lines = pd.DataFrame | Sequence[pd.DataFrame]
Interval = tuple[float, float]
Difference = tuple[float, float, float]  # with its interval


def bootstrap_intervals(
    lines: Lines,
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Percentile intervals of several metrics at once, all under the same draws of images.

    Args:
        lines: one per-sample table, or one table per seed on the same samples (the statistic is then their mean).
        metrics: names of metrics (benchmark/metrics/iou.py).
        over_seeds: draw the tables too; of one table this changes nothing.
        resamples: bootstrap resamples, at least 1.
        seed: of the draws; the same seed gives the same interval.
        confidence: in (0, 1).

    Returns:
        metric -> (low, high), each in [0, 1].

    Raises:
        ValueError: tables that are empty, malformed or not on the same samples; impossible settings.
    """
    tables = _tables(lines)
    totals = _draw(_image_sums(tables, metrics), resamples, seed)
    weights_RT = _seed_weights(len(tables), resamples, seed, over_seeds)
    return dict(zip(metrics, _percentiles(_means(totals, weights_RT, len(metrics)), confidence), strict=True))


def bootstrap_interval(
    lines: Lines,
    metric: str = "miou",
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """`bootstrap_intervals` of one metric: (low, high)."""
    found = bootstrap_intervals(
        lines, (metric,), over_seeds=over_seeds, resamples=resamples, seed=seed, confidence=confidence
    )
    return found[metric]


def paired_difference(
    lines_a: Lines,
    lines_b: Lines,
    metric: str = "miou",
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Difference:
    """`paired_differences` of one metric: (difference, low, high)."""
    found = paired_differences(
        lines_a, lines_b, (metric,), over_seeds=over_seeds, resamples=resamples, seed=seed, confidence=confidence
    )
    return found[metric]


def paired_differences(
    lines_a: Lines,
    lines_b: Lines,
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Difference]:
    """Differences metric(a) - metric(b) on the same samples, with their percentile intervals.

    Both sides see the same draw of images, so what makes an image hard for both cancels out; seeds are drawn for each
    side by itself, as seed 0 of one has nothing to do with seed 0 of the other.

    Returns:
        metric -> (difference, low, high), each in [-1, 1].

    Raises:
        ValueError: as `bootstrap_intervals`; also when a and b are not on the same samples.
    """
    tables_a, tables_b = _tables(lines_a), _tables(lines_b)
    sums = _image_sums(_same_samples([*tables_a, *tables_b]), metrics)
    split = 2 * len(tables_a) * len(metrics)
    totals = _draw(sums, resamples, seed)
    weights_a, weights_b = (
        _seed_weights(len(tables), resamples, seed + side, over_seeds)
        for side, tables in enumerate((tables_a, tables_b))
    )
    drawn = _means(totals[:, :split], weights_a, len(metrics)) - _means(totals[:, split:], weights_b, len(metrics))
    whole = sums.sum(axis=0, keepdims=True)
    value_a, value_b = (
        _means(part, _seed_weights(len(tables), 1, seed, False), len(metrics))[0]
        for part, tables in ((whole[:, :split], tables_a), (whole[:, split:], tables_b))
    )
    bounds = zip(metrics, value_a - value_b, _percentiles(drawn, confidence), strict=True)
    return {metric: (float(value), low, high) for metric, value, (low, high) in bounds}


def permutation_p(
    lines_a: Lines, lines_b: Lines, metric: str = "miou", *, permutations: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided p of "a and b are exchangeable on every image", for a metric that is a mean over samples.

    On each image the two change places or not, all its samples together; p is the share of such exchanges, the true one
    among them, whose difference is at least as far from 0 as the one found. Seeds of a side are averaged first.

    Returns:
        p in [1 / (permutations + 1), 1].

    Raises:
        ValueError: as `paired_difference`; also for oIoU, which is no mean over samples.
    """
    tables_a, tables_b = _tables(lines_a), _tables(lines_b)
    tables = _same_samples([*tables_a, *tables_b])
    if metric == "oiou":
        raise ValueError("a permutation test of oiou is not offered: it is no mean over samples; use miou")
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least 1 is needed")
    numerator_GT = _image_sums(tables, (metric,))[:, ::2]
    difference_G = numerator_GT[:, : len(tables_a)].mean(axis=1) - numerator_GT[:, len(tables_a) :].mean(axis=1)
    found = abs(difference_G.sum())
    images = len(difference_G)
    starts = range(0, permutations, max(1, CHUNK // images))

    def extreme(chunk: int) -> int:
        rows = min(starts.step, permutations - starts[chunk])
        signs = np.random.default_rng([seed, chunk]).integers(0, 2, size=(rows, images), dtype=np.int8)
        exchanged = (1.0 - 2.0 * signs) @ difference_G
        return int(np.count_nonzero(np.abs(exchanged) >= found - 1e-9 * max(found, 1.0)))

    with ThreadPoolExecutor(THREADS) as pool:
        return (1 + sum(pool.map(extreme, range(len(starts))))) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979): p values so adjusted that testing all at one level errs at most at that level.

    Raises:
        ValueError: one is not in [0, 1].
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p is {wrong[0]}; it must lie in [0, 1]")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


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
    totals = np.empty((resamples, sums_GK.shape[1]))
    starts = range(0, resamples, max(1, CHUNK // images))

    def fill(chunk: int) -> None:
        rows = totals[starts[chunk] : starts[chunk] + starts.step]
        drawn = np.random.default_rng([seed, chunk]).integers(0, images, size=(len(rows), images))
        drawn += images * np.arange(len(rows))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows.shape[0] * images).reshape(len(rows), images)
        rows[:] = counts.astype(np.float64) @ sums_GK

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(len(starts))))
    return totals


def _seed_weights(tables: int, resamples: int, seed: int, over_seeds: bool) -> FloatArray:
    """What each table weighs in each resample, summing to 1: R x T."""
    if not over_seeds:
        return np.full((resamples, tables), 1 / tables)
    # a stream of its own, beside those of the chunks of images
    rng = np.random.default_rng([seed, 0, 1])
    return rng.multinomial(tables, np.full(tables, 1 / tables), size=resamples) / tables


def _means(sums: FloatArray, weights_RT: FloatArray, metrics: int) -> FloatArray:
    """R x 2TM sums -> R x M values, each metric's weighted mean over the tables."""
    numerator, denominator = np.moveaxis(sums.reshape(len(sums), -1, metrics, 2), -1, 0)
    values: FloatArray = np.einsum("rtm,rt->rm", ratio(numerator, denominator), weights_RT)
    return values


def _percentiles(values_RM: FloatArray, confidence: float) -> list[Interval]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, for example 0.95")
    tail = (1 - confidence) / 2
    low_M, high_M = np.quantile(values_RM, [tail, 1 - tail], axis=0)
    return [(float(low), float(high)) for low, high in zip(low_M, high_M, strict=True)]
