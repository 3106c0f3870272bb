"""10,000 bootstrap resamples of 20,000 images, by sums of images and as one would write it, side by side.

pytest benchmark/speed/test_statistics.py --benchmark-only
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.metrics.statistics import (
    RESAMPLES,
    bootstrap_interval,
    bootstrap_intervals,
    paired_differences,
    permutation_p,
)

SAMPLES = 20_000


@pytest.fixture(scope="module")
def tables() -> list[pd.DataFrame]:
    """Two per-sample tables on the same samples, one sample an image: the largest case there is."""
    rng = np.random.default_rng(0)
    union = rng.integers(50, 5000, size=SAMPLES)
    names = [f"s{place}" for place in range(SAMPLES)]
    found = []
    for _ in range(2):
        intersection = (union * rng.beta(2, 2, size=SAMPLES)).astype(int)
        found.append(
            pd.DataFrame(
                {
                    "sample_id": names, "image_id": names, "category": None, "mask_area": union,
                    "predicted_area": intersection, "intersection": intersection, "union": union,
                }
            )
        )  # fmt: skip
    return found


def test_all_metrics(benchmark: Any, tables: list[pd.DataFrame]) -> None:
    benchmark.pedantic(bootstrap_intervals, args=(tables[0],), rounds=3)


def test_miou(benchmark: Any, tables: list[pd.DataFrame]) -> None:
    benchmark.pedantic(bootstrap_interval, args=(tables[0],), rounds=3)


def test_miou_plainly(benchmark: Any, tables: list[pd.DataFrame]) -> None:
    iou = (tables[0]["intersection"] / tables[0]["union"]).to_numpy()
    rng = np.random.default_rng(0)

    def plainly() -> tuple[float, float]:
        means = [iou[rng.integers(0, SAMPLES, size=SAMPLES)].mean() for _ in range(RESAMPLES)]
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    assert benchmark.pedantic(plainly, rounds=1) == pytest.approx(bootstrap_interval(tables[0]), abs=5e-4)


def test_paired_differences(benchmark: Any, tables: list[pd.DataFrame]) -> None:
    benchmark.pedantic(paired_differences, args=(tables[0], tables[1]), rounds=3)


def test_permutation(benchmark: Any, tables: list[pd.DataFrame]) -> None:
    benchmark.pedantic(permutation_p, args=(tables[0], tables[1]), rounds=3)
