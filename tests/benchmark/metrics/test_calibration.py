"""Areas by threshold, and what follows from them, against counting pixel by pixel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.metrics.calibration import (
    THRESHOLDS,
    calibration_error,
    check_sweep,
    miou_by_threshold,
    reliability,
    sweep_row,
)
from tests.masks import measured


@pytest.fixture
def drawn() -> tuple[list[np.ndarray], list[np.ndarray], pd.DataFrame, pd.DataFrame]:
    """Truths, logits, and both tables."""
    rng = np.random.default_rng(0)
    truths = [rng.random((11, 17)) < 0.3 for _ in range(6)]
    logits = [(rng.normal(0, 2, (11, 17)) + truth).astype(np.float32) for truth in truths]
    logits[0][0, :5] = 0  # a probability of exactly 1/2 is not above it
    lines = measured([(truth, values > 0) for truth, values in zip(truths, logits, strict=True)])
    sweep = pd.DataFrame([sweep_row(str(k), truths[k], logits[k]) for k in range(6)])
    return truths, logits, lines, sweep


def test_areas_are_those_of_the_mask_at_each_threshold(drawn) -> None:  # type: ignore[no-untyped-def]
    truths, logits, lines, sweep = drawn
    check_sweep(sweep, lines)
    for row, truth, values in zip(sweep.to_dict("records"), truths, logits, strict=True):
        probability = 1 / (1 + np.exp(-values.astype(np.float64)))
        for place, threshold in enumerate(THRESHOLDS):
            mask = values > 0 if threshold == 0.5 else probability > threshold
            assert row["area"][place] == mask.sum()
            assert row["intersection"][place] == (mask & truth).sum()


def test_miou_and_bins_follow(drawn) -> None:  # type: ignore[no-untyped-def]
    truths, logits, lines, sweep = drawn
    probability = [1 / (1 + np.exp(-values.astype(np.float64))) for values in logits]
    for place, threshold in enumerate(THRESHOLDS):
        masks = [p > threshold for p in probability]
        ious = [(mask & truth).sum() / (mask | truth).sum() for mask, truth in zip(masks, truths, strict=True)]
        assert miou_by_threshold(sweep, lines)[place] == pytest.approx(np.mean(ious))
    every, true = np.concatenate([p.ravel() for p in probability]), np.concatenate([t.ravel() for t in truths])
    error = 0.0
    for low, high, pixels, share in reliability(sweep, lines).itertuples(index=False):
        inside = (every > low) & (every <= high)
        assert pixels == inside.sum()
        assert share == pytest.approx(true[inside].mean())
        error += inside.mean() * abs(true[inside].mean() - (low + high) / 2)
    assert calibration_error(sweep, lines) == pytest.approx(error)


def test_a_perfectly_calibrated_prediction_has_no_error() -> None:
    rng = np.random.default_rng(1)
    middles = rng.integers(0, 10, (400, 400)) / 10 + 0.05
    truth = rng.random((400, 400)) < middles
    logits = np.log(middles / (1 - middles)).astype(np.float32)
    lines = measured([(truth, logits > 0)])
    assert calibration_error(pd.DataFrame([sweep_row("0", truth, logits)]), lines) < 0.01
    sure = np.where(rng.random((400, 400)) < 0.5, 9, -9).astype(np.float32)  # sure, and right half of the time
    assert calibration_error(pd.DataFrame([sweep_row("0", rng.random((400, 400)) < 0.5, sure)]), lines) > 0.4


def test_what_is_no_sweep_of_the_lines_is_refused(drawn) -> None:  # type: ignore[no-untyped-def]
    truths, logits, lines, sweep = drawn
    with pytest.raises(ValueError, match="columns"):
        check_sweep(sweep.drop(columns="pixels"), lines)
    with pytest.raises(ValueError, match="samples"):
        check_sweep(sweep.iloc[::-1], lines)
    with pytest.raises(ValueError, match=r"area at 0\.5"):
        check_sweep(sweep, lines.assign(predicted_area=lines["predicted_area"] + 1))
    logits[0][3, 3] = np.nan
    with pytest.raises(ValueError, match="sample '0'"):
        sweep_row("0", truths[0], logits[0])
