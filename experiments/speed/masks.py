"""Metrics from run-length codes against counting pixels, and intervals against the plain bootstrap.

The plain way is given masks of pixels; ours is given the strings that are stored, and reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from benchmark.data.rle import encode_mask
from benchmark.metrics.boundary import boundary_width
from benchmark.metrics.iou import METRIC_NAMES, iou, terms
from benchmark.metrics.measure import Details
from benchmark.metrics.measure import measure as measure_masks
from benchmark.metrics.statistics import bootstrap_intervals, many_intervals
from benchmark.speed.reference import (
    Mask,
    confusion_areas,
    histogram_areas,
    pixel_areas,
    pixel_details,
    plain_interval,
)
from experiments.speed.pairs import Pair, in_turns
from experiments.speed.samples import blobs

SIDE, MASKS, TURNS = 1024, 16, 3  # px; pairs of masks; times
IMAGES, FEW, DRAWS = 16_000, 2_000, 1_000  # with an expression each; resamples
GOAL = 20.0  # times the histograms


def measure() -> list[Pair]:
    """All pairs."""
    truth, predicted = blobs(SIDE, MASKS), blobs(SIDE, MASKS, seed=1)
    rng = np.random.default_rng(0)
    noise = [rng.random((SIDE, SIDE)) < 0.5 for _ in range(2)]
    case = f"{SIDE} px, {MASKS} blobs"
    return [
        _pair(f"{case}, against histograms", truth, predicted, histogram_areas, GOAL),
        _pair(f"{case}, against the confusion matrix", truth, predicted, confusion_areas),
        _pair(f"{case}, against logical operations", truth, predicted, pixel_areas),
        _pair(f"{case}, boundaries and 480 px too", truth, predicted, _plain_details, details=Details((480,))),
        _pair(
            f"{SIDE} px, noise, against histograms", noise[:1], noise[1:], histogram_areas,
            note="half a million runs, which no model predicts: the worst there is",
        ),
        *_statistics(),
    ]  # fmt: skip


def _pair(
    case: str,
    truth: list[Mask],
    predicted: list[Mask],
    plainly: Callable[[Mask, Mask], object],
    goal: float | None = None,
    note: str = "",
    details: Details | None = None,
) -> Pair:
    names = [str(place) for place in range(len(truth))]
    samples = pd.DataFrame({"sample_id": names, "image_id": names, "category": None, "height": SIDE, "width": SIDE})
    samples["mask"] = [encode_mask(mask) for mask in truth]
    predictions = pd.DataFrame({"sample_id": names, "prediction": [encode_mask(mask) for mask in predicted]})
    reference, ours, ratio = in_turns(
        lambda: [plainly(*pair) for pair in zip(truth, predicted, strict=True)],
        partial(measure_masks, samples, predictions, details),
        TURNS,
    )
    return Pair("metrics", case, reference, ours, ratio, goal=goal, note=note)


def _plain_details(truth: Mask, predicted: Mask) -> list[int]:
    return [*pixel_areas(truth, predicted), *pixel_details(truth, predicted, boundary_width(SIDE, SIDE), (480,))]


def _statistics() -> list[Pair]:
    one, study = _lines(IMAGES, 1)[0], _lines(FEW, 15)
    pairs = {metric: terms(one, metric) for metric in METRIC_NAMES}
    runs = [(number, study[3 * number : 3 * number + 3]) for number in range(5)]
    means = [np.mean([iou(table) for table in tables], axis=0) for _, tables in runs]
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"{IMAGES:,} images, mIoU": (
            lambda: plain_interval(*pairs["miou"], DRAWS),
            lambda: bootstrap_intervals(one, ("miou",), resamples=DRAWS),
        ),
        f"{IMAGES:,} images, {len(METRIC_NAMES)} metrics": (
            lambda: [plain_interval(*pair, DRAWS) for pair in pairs.values()],
            lambda: bootstrap_intervals(one, resamples=DRAWS),
        ),
        f"{FEW:,} images, mIoU of 5 variants x 3 seeds": (
            lambda: [plain_interval(mean, np.ones(FEW), DRAWS) for mean in means],
            lambda: many_intervals(runs, ("miou",), over_seeds=True, resamples=DRAWS),
        ),
    }
    return [Pair("statistics", f"{case}, {DRAWS:,} resamples", *in_turns(*ways, TURNS)) for case, ways in cases.items()]


def _lines(images: int, tables: int) -> list[pd.DataFrame]:
    """Per-sample tables on the same samples."""
    rng = np.random.default_rng(0)
    union, names = rng.integers(50, 5000, size=images), [str(place) for place in range(images)]
    found = []
    for _ in range(tables):
        both = (union * rng.beta(2, 2, size=images)).astype(int)
        areas = {"mask_area": union, "predicted_area": both, "intersection": both, "union": union}
        found.append(pd.DataFrame({"sample_id": names, "image_id": names, "category": None, **areas}))
    return found
