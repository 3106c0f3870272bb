from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import iou as metrics
from benchmark.results.schema import METRICS


def table(rows: list[tuple[int, int, int]]) -> pd.DataFrame:
    """(mask_area, predicted_area, intersection) -> a per-sample table, two samples an image."""
    return pd.DataFrame(
        {
            "sample_id": f"s{number}",
            "image_id": f"i{number // 2}",
            "category": None,
            "mask_area": truth,
            "predicted_area": predicted,
            "intersection": both,
            "union": truth + predicted - both,
        }
        for number, (truth, predicted, both) in enumerate(rows)
    )


def restated(rows: list[tuple[int, int, int]]) -> dict[str, float]:
    """The protocol in plain loops over whole numbers; shares no code with what it checks."""
    total, intersections, unions, passed = 0.0, 0, 0, dict.fromkeys((5, 6, 7, 8, 9), 0)
    targets = absent = silent = 0
    for truth, predicted, both in rows:
        if truth == 0:
            absent += 1
            silent += predicted == 0
            continue
        targets += 1
        union = truth + predicted - both
        total += both / union
        intersections += both
        unions += union
        for tenths in passed:
            passed[tenths] += 10 * both >= tenths * union
    found = {"miou": total / targets if targets else 1.0, "oiou": intersections / unions if unions else 1.0}
    found |= {f"precision_0.{tenths}": count / targets if targets else 1.0 for tenths, count in passed.items()}
    return found | ({"no_target_accuracy": silent / absent} if absent else {})


masks = st.integers(0, 60).flatmap(
    lambda both: st.tuples(st.integers(both, 100), st.integers(both, 100), st.just(both))
)


@given(st.lists(masks, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_metrics_agree_with_a_plain_restatement_on_random_samples(rows: list[tuple[int, int, int]]) -> None:
    assert metrics.summary(table(rows)) == pytest.approx(restated(rows), abs=1e-12)


def test_iou_of_hand_made_masks(subtests: pytest.Subtests) -> None:
    for case, row, iou in (
        ("both empty", (0, 0, 0), 1.0),
        ("empty prediction", (7, 0, 0), 0.0),
        ("empty truth", (0, 7, 0), 0.0),
        ("apart", (5, 5, 0), 0.0),
        ("equal", (5, 5, 5), 1.0),
        ("exactly 0.5", (3, 3, 2), 0.5),
    ):
        with subtests.test(case):
            assert metrics.iou(table([row])).tolist() == [iou]
            assert metrics.summary(table([row])) == pytest.approx(restated([row]))


def test_an_iou_of_exactly_X_passes_X_and_one_pixel_less_does_not(subtests: pytest.Subtests) -> None:
    for tenths, scale in itertools.product((5, 6, 7, 8, 9), (1, 3, 7, 1_000_003)):
        with subtests.test(f"0.{tenths}, {10 * scale} pixels"):
            union = 10 * scale
            at = (union, tenths * scale, tenths * scale)
            below = (union, tenths * scale - 1, tenths * scale - 1)
            assert metrics.precision(table([at, below]), tenths / 10) == 0.5
            assert metrics.summary(table([at, below]))[f"precision_0.{tenths}"] == 0.5


def test_miou_weighs_samples_alike_and_oiou_weighs_pixels() -> None:
    lines = table([(1000, 1000, 1000), (10, 10, 0)])
    assert metrics.miou(lines) == 0.5
    assert metrics.oiou(lines) == pytest.approx(1000 / 1020)


def test_samples_without_a_target_count_for_their_own_metric_alone() -> None:
    there = [(1000, 1000, 1000), (10, 10, 0)]
    both = metrics.summary(table([*there, (0, 0, 0), (0, 5, 0), (0, 0, 0), (0, 0, 0)]))
    assert both.pop("no_target_accuracy") == 0.75
    assert both == metrics.summary(table(there))
    assert "no_target_accuracy" not in metrics.summary(table(there))


def test_where_nothing_is_there_to_be_missed_nothing_was_missed() -> None:
    assert metrics.oiou(table([(0, 0, 0)])) == metrics.miou(table([(0, 0, 0)])) == 1.0


def test_every_metric_is_the_ratio_of_its_terms() -> None:
    rng = np.random.default_rng(0)
    lines = table([(40, 30, int(both)) for both in rng.integers(0, 31, size=50)])
    for name, value in metrics.summary(lines).items():
        numerator, denominator = metrics.terms(lines, name)
        assert numerator.sum() / denominator.sum() == pytest.approx(value)


def test_every_metric_has_a_declared_title_and_direction() -> None:
    assert tuple(METRICS) == (*metrics.METRIC_NAMES, metrics.BOUNDARY, metrics.NO_TARGET)
    detailed = table([(1, 1, 1), (0, 0, 0)]).assign(boundary_intersection=[1, 0], boundary_union=[1, 0])
    assert tuple(METRICS) == tuple(metrics.summary(detailed))
    assert tuple(metrics.summary(table([(1, 1, 1)]))) == metrics.METRIC_NAMES


def test_boundary_iou_is_the_mean_over_samples_with_a_target() -> None:
    lines = table([(4, 4, 4), (4, 4, 2), (0, 0, 0)])
    lines = lines.assign(boundary_intersection=[2, 1, 0], boundary_union=[4, 4, 0])
    assert metrics.summary(lines)[metrics.BOUNDARY] == pytest.approx((0.5 + 0.25) / 2)
    with pytest.raises(ValueError, match="boundaries were not measured"):
        metrics.terms(lines.drop(columns="boundary_union"), metrics.BOUNDARY)
    with pytest.raises(ValueError, match="boundary_intersection 5 exceeds its union"):
        metrics.check_lines(lines.assign(boundary_intersection=[5, 1, 0]))
    with pytest.raises(ValueError, match="unknown column"):
        metrics.check_lines(lines.assign(union_0=0))


def test_metric_names_are_legal_in_mlflow() -> None:
    assert all("@" not in name for name in metrics.METRIC_NAMES)


def test_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown metric 'giou'.*miou, oiou"):
        metrics.terms(table([(1, 1, 1)]), "giou")


def test_a_table_that_cannot_be_right_is_refused(subtests: pytest.Subtests) -> None:
    faults: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
        (lambda lines: lines.iloc[:0], "no rows"),
        (lambda lines: lines.drop(columns="union"), r"lacks the column.*union"),
        (lambda lines: lines.assign(score=1), r"unknown column.*score"),
        (lambda lines: lines.assign(sample_id="same"), "'same' more than once"),
        (lambda lines: lines.assign(union=lines["union"] + 1), r"'s0'.*contradict"),
        (lambda lines: lines.assign(intersection=99), r"'s0'.*contradict"),
    ]
    for change, message in faults:
        with subtests.test(message), pytest.raises(ValueError, match=message):
            metrics.summary(change(table([(3, 3, 2), (4, 4, 4)])))
