"""Permutation tests of paired differences, and their correction.

As in statistics.py the image is what changes sides, with all its samples, and as there chunks keep memory flat and
those that are on as many images share what is drawn. G is for images, T for tables.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from benchmark.metrics.image_sums import Lines, image_sums, same_samples, tables_of
from benchmark.metrics.iou import FloatArray
from benchmark.metrics.statistics import CHUNK, RESAMPLES, THREADS

Name = TypeVar("Name", bound=Hashable)


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
    return many_permutation_p([("", (lines_a, lines_b))], metric, permutations=permutations, seed=seed)[""]


def many_permutation_p(
    several: Iterable[tuple[Name, tuple[Lines, Lines]]],
    metric: str = "miou",
    *,
    permutations: int = RESAMPLES,
    seed: int = 0,
) -> dict[Name, float]:
    """`permutation_p` of each pair, by name; of a generator, the tables of one are there at a time."""
    if metric == "oiou":
        raise ValueError("a permutation test of oiou is not offered: it is no mean over samples; use miou")
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least 1 is needed")
    differences = {name: _differences(*pair, metric) for name, pair in several}
    found: dict[Name, float] = {}
    for images in dict.fromkeys(len(values) for values in differences.values()):
        alike = {name: values for name, values in differences.items() if len(values) == images}
        extreme = _count_extreme(list(alike.values()), images, permutations, seed)
        found |= {name: (1 + count) / (permutations + 1) for name, count in zip(alike, extreme, strict=True)}
    return {name: found[name] for name in differences}


def _differences(lines_a: Lines, lines_b: Lines, metric: str) -> FloatArray:
    """Of each image, summed over its samples: G."""
    tables_a, tables_b = tables_of(lines_a), tables_of(lines_b)
    numerator_GT = image_sums(same_samples([*tables_a, *tables_b]), (metric,))[:, ::2]
    difference_G: FloatArray = numerator_GT[:, : len(tables_a)].mean(axis=1) - numerator_GT[:, len(tables_a) :].mean(
        axis=1
    )
    return difference_G


def _count_extreme(several: Sequence[FloatArray], images: int, permutations: int, seed: int) -> list[int]:
    """Exchanges whose difference is at least as far from 0 as the true one, of each G."""
    found = [abs(difference_G.sum()) for difference_G in several]
    starts = range(0, permutations, max(1, CHUNK // images))

    def extreme(chunk: int) -> list[int]:
        rows = min(starts.step, permutations - starts[chunk])
        drawn = np.random.default_rng([seed, chunk]).integers(0, 2, size=(rows, images), dtype=np.int8)
        signs = 1.0 - 2.0 * drawn
        return [
            int(np.count_nonzero(np.abs(signs @ difference_G) >= true - 1e-9 * max(true, 1.0)))
            for difference_G, true in zip(several, found, strict=True)
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        return [sum(counts) for counts in zip(*pool.map(extreme, range(len(starts))), strict=True)]


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
