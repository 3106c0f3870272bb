"""Mean ranks of systems over datasets, and how far they depend on the images and seeds at hand.

On dataset d the best of S systems has rank 1, equal ones share the mean of their ranks, and the mean over D datasets,

    R_s = 1/D sum_d r_sd,    r_sd = 1 + |{t: m_td > m_sd}| + 1/2 |{t != s: m_td = m_sd}|,

is how systems are compared over several datasets (Demšar, Statistical Comparisons of Classifiers over Multiple Data
Sets, JMLR 7, 2006, section 3.2.2), whatever the scale of the metric m on each.

His tests of R take the datasets for a sample; of three they can find nothing. What can be asked of so few is how sure
the ranks on these very datasets are, and that the bootstrap says (Goldstein and Spiegelhalter, League Tables and Their
Limitations, JRSS A 159, 1996): images and seeds are drawn anew as in statistics.py, on each dataset by itself and the
same images for all systems, and everything is ranked again in each draw. Nothing is said of other datasets. Where
systems are close, draws exchange their ranks: intervals reach over several ranks then, which is what there is to know.

Dimension letters: R resamples, D datasets, S systems.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from benchmark.metrics.image_sums import Lines
from benchmark.metrics.iou import FloatArray
from benchmark.metrics.statistics import CONFIDENCE, RESAMPLES, many_draws, percentiles

DECIMALS = 9  # values that agree in so many are equal: a mean of the same numbers in another order

Name = TypeVar("Name", bound=Hashable)


class MeanRank(NamedTuple):
    """A system's mean rank over datasets with its percentile interval, in [1, S].

    first: the share of draws in which no other system's mean rank is lower; those that share the place share the draw.
    ranks: its rank on each dataset.
    """

    mean: float
    low: float
    high: float
    first: float
    ranks: dict[str, float]


def mean_ranks(
    datasets: Mapping[str, Mapping[Name, Lines]],
    metric: str = "miou",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[Name, MeanRank]:
    """Rank the same systems on each dataset, the highest value first.

    Args:
        datasets: dataset -> system -> its per-sample tables there, one a seed, on the same samples.
        metric: one that is better the higher it is.
        resamples: bootstrap resamples, at least 1.
        seed: of the draws.
        confidence: in (0, 1).

    Raises:
        ValueError: no dataset; fewer than two systems; one that is not on every dataset; as `many_draws`.
    """
    names = list(next(iter(datasets.values()), ()))
    if len(names) < 2:
        raise ValueError(f"{len(names)} system(s) to rank; at least 2 on at least one dataset are needed")
    for dataset, systems in datasets.items():
        if different := set(systems) ^ set(names):
            raise ValueError(
                f"{sorted(map(str, different))[0]!r} is not on every dataset ({dataset!r} has other systems than the "
                "first); rank those alone that are"
            )
    found, drawn = [], []
    for place, systems in enumerate(datasets.values()):
        several = [("", [systems[name] for name in names])]
        ((_, values_S1, drawn_RS1),) = many_draws(
            several, (metric,), over_seeds=True, resamples=resamples, seed=seed + place * len(names)
        )
        found.append(ranks_of(values_S1.T)[0])
        drawn.append(ranks_of(drawn_RS1[..., 0]))
    mean_S, mean_RS = np.mean(found, axis=0), np.mean(drawn, axis=0)
    lowest_RS = np.isclose(mean_RS, mean_RS.min(axis=1, keepdims=True))
    first_S = (lowest_RS / lowest_RS.sum(axis=1, keepdims=True)).mean(axis=0)
    intervals = percentiles(mean_RS, confidence)
    return {
        name: MeanRank(
            float(mean_S[place]),
            *intervals[place],
            float(first_S[place]),
            {dataset: float(ranks_S[place]) for dataset, ranks_S in zip(datasets, found, strict=True)},
        )
        for place, name in enumerate(names)
    }


def ranks_of(values_RS: FloatArray) -> FloatArray:
    """Ranks along the last axis, 1 of the highest; equal ones share the mean of theirs."""
    values = np.round(values_RS, DECIMALS)
    ahead = (values[..., None, :] > values[..., :, None]).sum(axis=-1)
    alike = (values[..., None, :] == values[..., :, None]).sum(axis=-1)  # itself too
    ranks: FloatArray = 0.5 + ahead + 0.5 * alike
    return ranks
