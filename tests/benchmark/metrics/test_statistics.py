from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from benchmark.metrics.iou import METRIC_NAMES, miou, oiou, summary
from benchmark.metrics.permutation import permutation_p
from benchmark.metrics.statistics import (
    bootstrap_interval,
    bootstrap_intervals,
    many_differences,
    many_intervals,
    paired_difference,
    paired_differences,
)
from tests.lines import draw_lines


def plain_interval(lines: pd.DataFrame, resamples: int, seed: int) -> tuple[float, float]:
    """The bootstrap of oIoU by hand: draw images, gather all their samples, measure."""
    rng = np.random.default_rng(seed)
    groups = [group[["intersection", "union"]].to_numpy() for _, group in lines.groupby("image_id")]
    values = []
    for _ in range(resamples):
        drawn = np.concatenate([groups[index] for index in rng.integers(0, len(groups), size=len(groups))])
        values.append(drawn[:, 0].sum() / drawn[:, 1].sum())
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def test_interval_agrees_with_a_plain_bootstrap_of_images() -> None:
    lines = draw_lines(np.random.default_rng(0), images=25, per_image=3)
    assert bootstrap_interval(lines, "oiou") == pytest.approx(plain_interval(lines, 1500, seed=1), abs=0.01)


def test_intervals_cover_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(draw_lines(rng, images=80, spread=0.15), resamples=400)
        hits += low <= 0.5 <= high
    assert 180 <= hits <= 199


def test_images_are_resampled_not_expressions() -> None:
    rng = np.random.default_rng(0)
    alone = draw_lines(rng, images=60)
    repeated = alone.loc[alone.index.repeat(10)].reset_index(drop=True)
    repeated["sample_id"] = [f"s{number}" for number in range(len(repeated))]
    # ten copies of each sample are no new evidence, so the interval must not narrow
    assert bootstrap_interval(repeated) == pytest.approx(bootstrap_interval(alone))
    independent = repeated.assign(image_id=repeated["sample_id"])
    low, high = bootstrap_interval(independent)
    wide_low, wide_high = bootstrap_interval(repeated)
    assert (wide_high - wide_low) > 2.5 * (high - low)


def test_images_weigh_by_their_samples() -> None:
    lines = draw_lines(np.random.default_rng(0), images=30, per_image=2)
    lopsided = lines.drop(index=range(1, 31, 2))  # half of the images keep one sample
    low, high = bootstrap_interval(lopsided)
    assert low < miou(lopsided) < high


def test_same_seed_same_interval_whatever_the_row_order() -> None:
    lines = draw_lines(np.random.default_rng(0), images=50, per_image=2)
    shuffled = lines.sample(frac=1, random_state=0)
    assert bootstrap_intervals(lines, resamples=500) == bootstrap_intervals(lines, resamples=500)
    assert bootstrap_interval(shuffled, resamples=500) == pytest.approx(bootstrap_interval(lines, resamples=500))
    assert bootstrap_interval(lines, resamples=500, seed=1) != bootstrap_interval(lines, resamples=500)


def test_interval_does_not_depend_on_the_other_metrics_asked_for() -> None:
    lines = draw_lines(np.random.default_rng(0), images=50)
    together = bootstrap_intervals(lines, resamples=500)
    assert set(together) == set(METRIC_NAMES)
    assert together["oiou"] == pytest.approx(bootstrap_interval(lines, "oiou", resamples=500))


def test_every_interval_holds_its_value() -> None:
    lines = draw_lines(np.random.default_rng(3), images=100)
    values = summary(lines)
    for name, (low, high) in bootstrap_intervals(lines, resamples=2000).items():
        assert low <= values[name] <= high


def test_several_seeds_give_the_interval_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    tables = [draw_lines(rng, images=60) for _ in range(3)]
    low, high = bootstrap_interval(tables)
    assert low < np.mean([miou(table) for table in tables]) < high
    # noise between seeds averages out: narrower than one seed alone
    alone_low, alone_high = bootstrap_interval(tables[0])
    assert high - low < alone_high - alone_low
    assert bootstrap_interval([tables[0], tables[0]]) == pytest.approx((alone_low, alone_high))


def test_paired_difference_cancels_what_both_find_hard() -> None:
    rng = np.random.default_rng(0)
    worse = draw_lines(rng, images=60, mean=0.4)
    better = worse.copy()
    gain = np.minimum(200, better["union"] - better["intersection"])
    better["intersection"] += gain
    better["predicted_area"] += gain
    difference, low, high = paired_difference(better, worse)
    assert difference == pytest.approx(miou(better) - miou(worse))
    assert 0.015 < low <= difference <= high < 0.021
    alone_low, alone_high = bootstrap_interval(better)
    assert high - low < (alone_high - alone_low) / 10
    backwards = paired_difference(worse, better)
    assert backwards == pytest.approx((-difference, -high, -low), abs=1e-12)


def test_differences_of_several_metrics_are_those_of_each() -> None:
    rng = np.random.default_rng(4)
    a, b = draw_lines(rng, images=20), draw_lines(rng, images=20)
    found = paired_differences([a, a], b, ("miou", "oiou", "precision_0.7"), over_seeds=True)
    assert list(found) == ["miou", "oiou", "precision_0.7"]
    for metric, values in found.items():
        assert values == pytest.approx(paired_difference([a, a], b, metric, over_seeds=True))


def test_paired_difference_matches_samples_by_id() -> None:
    lines = draw_lines(np.random.default_rng(0), images=40)
    assert paired_difference(lines, lines.sample(frac=1, random_state=1), "oiou") == (0.0, 0.0, 0.0)
    assert oiou(lines) == oiou(lines.sample(frac=1, random_state=1))


def test_tables_of_other_samples_are_refused_by_name() -> None:
    lines = draw_lines(np.random.default_rng(0), images=5)
    with pytest.raises(ValueError, match=r"not on the same samples.*'s4'"):
        paired_difference(lines, lines.iloc[:4])
    grown = lines.assign(mask_area=lines["mask_area"] + 1, union=lines["union"] + 1)
    with pytest.raises(ValueError, match=r"'s0' has mask_area 10000 in one table and 10001"):
        paired_difference(lines, grown)
    with pytest.raises(ValueError, match="no per-sample table"):
        bootstrap_interval([])


def test_impossible_settings_are_refused() -> None:
    lines = draw_lines(np.random.default_rng(0), images=5)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval(lines, resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_interval(lines, confidence=1.0)


def test_memory_does_not_grow_with_the_number_of_resamples() -> None:
    lines = draw_lines(np.random.default_rng(0), images=20_000)  # benchmark/speed says how quick
    tracemalloc.start()
    bootstrap_intervals(lines, resamples=1_000)  # all draws at once would take 460 MiB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / 2**20 < 100  # two chunks take 48 MiB, of any number of resamples


def test_over_seeds_is_wider_the_more_the_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    alike = draw_lines(rng, images=60)
    low, high = bootstrap_interval([alike] * 3)
    assert bootstrap_interval([alike] * 3, over_seeds=True) == pytest.approx((low, high))
    assert bootstrap_interval(alike, over_seeds=True) == bootstrap_interval(alike)
    better = alike.assign(intersection=alike["union"], predicted_area=alike["union"])
    fixed = bootstrap_interval([alike, better])
    drawn = bootstrap_interval([alike, better], over_seeds=True)
    assert drawn[0] < fixed[0] - 0.1
    assert drawn[1] == 1.0  # a quarter of the draws take the perfect seed twice
    value, low, high = paired_difference([alike, better], alike, over_seeds=True)
    assert value == pytest.approx((1 - miou(alike)) / 2)
    assert low <= 1e-9 < 1 - miou(alike) - 0.1 < high


def test_over_seeds_agrees_with_drawing_by_hand() -> None:
    rng = np.random.default_rng(2)
    tables = [draw_lines(rng, images=30, mean=mean) for mean in (0.3, 0.5, 0.6)]
    values = np.stack([(table["intersection"] / table["union"]).to_numpy() for table in tables])
    drawn = []
    for _ in range(4000):
        seeds, images = rng.integers(0, 3, size=3), rng.integers(0, 30, size=30)
        drawn.append(values[np.ix_(seeds, images)].mean())
    assert bootstrap_interval(tables, over_seeds=True) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.01
    )


def test_several_at_once_have_each_the_numbers_that_it_has_alone_to_the_bit() -> None:
    rng = np.random.default_rng(6)
    tables = {
        (images, place): [draw_lines(rng, images, 2) for _ in range(3)] for images in (40, 7, 60) for place in range(2)
    }
    together = many_intervals(iter(tables.items()), resamples=700, over_seeds=True)
    assert list(together) == list(tables)
    for name, lines in tables.items():
        assert together[name] == bootstrap_intervals(lines, resamples=700, over_seeds=True)
    pairs = {name: (lines, tables[name[0], 0][:2]) for name, lines in tables.items()}
    differences = many_differences(pairs.items(), ("miou", "oiou"), resamples=700, over_seeds=True)
    assert list(differences) == list(pairs)
    for name, pair in pairs.items():
        assert differences[name] == paired_differences(*pair, ("miou", "oiou"), resamples=700, over_seeds=True)


def test_the_draws_are_those_that_the_committed_tables_were_made_with() -> None:
    rng = np.random.default_rng(7)
    a = [draw_lines(rng, 300, 2) for _ in range(3)]
    b = [draw_lines(rng, 300, 2, mean=0.45) for _ in range(2)]
    found = bootstrap_intervals(a, ("miou", "precision_0.7"), over_seeds=True)
    assert found["miou"] == pytest.approx((0.45300995, 0.49993588333333333), rel=1e-12)
    assert found["precision_0.7"] == pytest.approx((0.13555555555555554, 0.19999999999999998), rel=1e-12)
    difference = paired_difference(a, b, over_seeds=True)
    assert difference == pytest.approx((0.02274572222222243, -0.01046232777777779, 0.05615695555555542), rel=1e-10)
    assert permutation_p(a, b) == pytest.approx(0.05909409059094091, rel=1e-12)
