"""Bootstrap intervals and paired differences, computed from the per-sample tables. permutation.py has p values,
ranking.py ranks over datasets.

What is resampled is the image, not the expression: the expressions of one image share its light, its scale and often
their mask, so treating them as independent would make every interval too narrow. Metrics are ratios of two sums over
samples (iou.py), so a resample needs only the sums of each image: how often each image was drawn times
those sums is one small matrix product, made in chunks so that memory stays flat. How often images are drawn depends on
their number alone, so `many_intervals` and `many_differences` draw once for all that are on as many images, and give
each the numbers that it has alone, to the bit.

Several tables are several seeds of one run: the statistic is then the mean of the metric over them, every one seen
under the same draw of images. Such an interval says how far that mean depends on the images. With ``over_seeds`` the
seeds are drawn as well (hierarchical: seeds, and under them one draw of images), so it covers both; of three seeds it
is still too narrow, as the spread of three says little about the spread of all.

Dimension letters: R resamples, G images, T tables, M metrics, S sides that are compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from benchmark.metrics.image_sums import Lines, image_sums, same_samples, tables_of
from benchmark.metrics.iou import METRIC_NAMES, FloatArray, ratio

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK = 1_000_000  # draws at a time and thread: 8 MB, and as much for their counts
THREADS = 2  # each chunk has its own stream of random numbers: the same result from any number

Name = TypeVar("Name", bound=Hashable)
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
    several = many_intervals(
        [("", lines)], metrics, over_seeds=over_seeds, resamples=resamples, seed=seed, confidence=confidence
    )
    return several[""]


def many_intervals(
    several: Iterable[tuple[Name, Lines]],
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[Name, dict[str, Interval]]:
    """`bootstrap_intervals` of each, by name; of a generator, the tables of one are there at a time."""
    sums, weights = {}, {}
    for name, lines in several:
        tables = tables_of(lines)
        sums[name] = image_sums(tables, metrics)
        weights[name] = len(tables)
    found = {}
    for name, totals in _draw(sums, resamples, seed):
        weights_RT = _seed_weights(weights[name], resamples, seed, over_seeds)
        values = percentiles(_means(totals, weights_RT, len(metrics)), confidence)
        found[name] = dict(zip(metrics, values, strict=True))
    return {name: found[name] for name in sums}


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
    several = many_differences(
        [("", (lines_a, lines_b))],
        metrics,
        over_seeds=over_seeds,
        resamples=resamples,
        seed=seed,
        confidence=confidence,
    )
    return several[""]


def many_differences(
    several: Iterable[tuple[Name, tuple[Lines, Lines]]],
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[Name, dict[str, Difference]]:
    """`paired_differences` of each pair, by name; of a generator, the tables of one are there at a time."""
    found = {}
    draws = many_draws(several, metrics, over_seeds=over_seeds, resamples=resamples, seed=seed)
    for name, values_SM, drawn_RSM in draws:
        between = percentiles(drawn_RSM[:, 0] - drawn_RSM[:, 1], confidence)
        bounds = zip(metrics, values_SM[0] - values_SM[1], between, strict=True)
        found[name] = {metric: (float(value), low, high) for metric, value, (low, high) in bounds}
    return found


def many_draws(
    several: Iterable[tuple[Name, Sequence[Lines]]],
    metrics: Sequence[str] = METRIC_NAMES,
    *,
    over_seeds: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Iterator[tuple[Name, FloatArray, FloatArray]]:
    """Of each, by name: its sides on the same samples, measured as they are (S x M) and in each resample (R x S x M).

    All sides see the same draw of images; seeds are drawn for each side by itself.

    Raises:
        ValueError: as `bootstrap_intervals`; also when the sides are not on the same samples.
    """
    sums, sides = {}, {}
    for name, some in several:
        tables = [tables_of(lines) for lines in some]
        sums[name] = image_sums(same_samples([table for side in tables for table in side]), metrics)
        sides[name] = [len(side) for side in tables]
    drawn = dict(_draw(sums, resamples, seed))
    for name, counts in sides.items():
        once = [_seed_weights(count, 1, seed, False) for count in counts]
        weights = [_seed_weights(count, resamples, seed + side, over_seeds) for side, count in enumerate(counts)]
        (values_SM,) = _sides(sums[name].sum(axis=0, keepdims=True), once, len(metrics))
        yield name, values_SM, _sides(drawn.pop(name), weights, len(metrics))


def _draw(several: Mapping[Name, FloatArray], resamples: int, seed: int) -> Iterator[tuple[Name, FloatArray]]:
    """Sums of each resample of images, drawn with replacement: G x K -> R x K, those of as many images together."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; at least 1 is needed")
    alike: dict[int, list[Name]] = {}
    for name, sums_GK in several.items():
        alike.setdefault(len(sums_GK), []).append(name)
    for images, names in alike.items():
        yield from zip(names, _draw_alike([several[name] for name in names], images, resamples, seed), strict=True)


def _draw_alike(several: Sequence[FloatArray], images: int, resamples: int, seed: int) -> list[FloatArray]:
    totals = [np.empty((resamples, sums_GK.shape[1])) for sums_GK in several]
    starts = range(0, resamples, max(1, CHUNK // images))

    def fill(chunk: int) -> None:
        rows = min(starts.step, resamples - starts[chunk])
        drawn = np.random.default_rng([seed, chunk]).integers(0, images, size=(rows, images))
        drawn += images * np.arange(rows)[:, None]
        counts_RG = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)
        for total_RK, sums_GK in zip(totals, several, strict=True):
            total_RK[starts[chunk] : starts[chunk] + rows] = counts_RG @ sums_GK

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


def _sides(sums: FloatArray, weights: Sequence[FloatArray], metrics: int) -> FloatArray:
    """R x 2TM sums of the tables of several sides, and what each table weighs -> R x S x M values."""
    ends = 2 * metrics * np.cumsum([weights_RT.shape[1] for weights_RT in weights])[:-1]
    parts = zip(np.split(sums, ends, axis=1), weights, strict=True)
    return np.stack([_means(part, weights_RT, metrics) for part, weights_RT in parts], axis=1)


def percentiles(values_RM: FloatArray, confidence: float) -> list[Interval]:
    """Of each column, the interval that holds `confidence` of its values.

    Raises:
        ValueError: `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, for example 0.95")
    tail = (1 - confidence) / 2
    low_M, high_M = np.quantile(values_RM, [tail, 1 - tail], axis=0)
    return [(float(low), float(high)) for low, high in zip(low_M, high_M, strict=True)]
