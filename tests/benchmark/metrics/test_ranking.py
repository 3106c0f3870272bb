from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.metrics.iou import iou, miou
from benchmark.metrics.ranking import mean_ranks, ranks_of
from tests.lines import draw_lines

Tables = dict[str, dict[str, list[pd.DataFrame]]]


def draw(means: dict[str, float], *, images: tuple[int, ...] = (40, 25), seeds: int = 3, spread: float = 0.1) -> Tables:
    """Datasets of so many images, and systems of so high an IoU."""
    rng = np.random.default_rng(0)
    return {
        f"d{place}": {
            name: [draw_lines(rng, many, 2, spread, mean) for _ in range(seeds)] for name, mean in means.items()
        }
        for place, many in enumerate(images)
    }


def plain_ranks(values: list[float]) -> list[float]:
    """Each one's rank: the mean of the places that its equals have in a sorted list."""
    order = sorted(values, reverse=True)
    places = {value: [place for place, one in enumerate(order, start=1) if one == value] for value in values}
    return [float(np.mean(places[value])) for value in values]


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    for values in ([0.5, 0.7, 0.5, 0.1], [0.2, 0.2, 0.2], [0.1, 0.9], [0.3, 0.3 + 1e-15, 0.9]):
        expected = plain_ranks([round(value, 9) for value in values])
        assert ranks_of(np.array([values]))[0].tolist() == expected


def test_a_clear_order_has_ranks_without_doubt() -> None:
    found = mean_ranks(draw({"worst": 0.1, "best": 0.9, "middle": 0.5}), resamples=500)
    assert list(found) == ["worst", "best", "middle"]
    assert [one[:4] for one in found.values()] == [(3, 3, 3, 0), (1, 1, 1, 1), (2, 2, 2, 0)]


def test_systems_that_are_the_same_share_every_rank_and_systems_alike_any() -> None:
    same = {name: {"a": some["a"], "b": some["a"], "c": some["a"]} for name, some in draw({"a": 0.5}, seeds=1).items()}
    for one in mean_ranks(same, resamples=200).values():
        assert one[:3] == (2, 2, 2)
        assert one.first == pytest.approx(1 / 3)
    alike = mean_ranks(draw({"a": 0.5, "b": 0.5, "c": 0.5}, images=(60, 60, 60)), resamples=2000)
    for one in alike.values():
        assert one.low < 2 < one.high
        assert 0.02 < one.first < 0.98
    assert sum(one.first for one in alike.values()) == pytest.approx(1)


def test_mean_ranks_agree_with_a_plain_loop_over_draws() -> None:
    datasets = draw({"a": 0.50, "b": 0.52, "c": 0.45}, images=(20, 12), seeds=2, spread=0.2)
    found = mean_ranks(datasets, resamples=4000)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(1500):
        ranks = []
        for systems in datasets.values():
            images = rng.integers(0, len(systems["a"][0]) // 2, size=len(systems["a"][0]) // 2)
            values = []
            for tables in systems.values():
                seeds = rng.integers(0, len(tables), size=len(tables))
                each = [iou(table).reshape(-1, 2)[images].mean() for table in tables]  # two samples an image
                values.append(float(np.mean([each[seed] for seed in seeds])))
            ranks.append(plain_ranks(values))
        drawn.append(np.mean(ranks, axis=0))
    for place, (name, one) in enumerate(found.items()):
        values = [np.mean([miou(table) for table in systems[name]]) for systems in datasets.values()]
        others = [[np.mean([miou(t) for t in tables]) for tables in systems.values()] for systems in datasets.values()]
        assert list(one.ranks.values()) == [
            1 + sum(value < other for other in each) for value, each in zip(values, others, strict=True)
        ]
        assert one.mean == np.mean(list(one.ranks.values()))
        column = np.array(drawn)[:, place]
        assert (one.low, one.high) == pytest.approx(tuple(np.quantile(column, [0.025, 0.975])), abs=0.5)  # a step
        lowest = np.array(drawn) == np.min(drawn, axis=1, keepdims=True)
        assert one.first == pytest.approx((lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0)[place], abs=0.05)


def test_what_is_hard_for_all_changes_no_rank() -> None:
    """Systems see the same images in each draw: one that is better on every image is first in all."""
    rng = np.random.default_rng(0)
    worse = draw_lines(rng, images=60, mean=0.4)
    better = worse.assign(intersection=worse["intersection"] + 1, predicted_area=worse["predicted_area"] + 1)
    found = mean_ranks({"d": {"worse": worse, "better": better.assign(union=better["mask_area"])}}, resamples=500)
    assert found["better"][:4] == (1, 1, 1, 1)


def test_datasets_of_as_many_images_are_drawn_apart() -> None:
    """Drawn together, mean ranks would swing as those of one dataset do."""
    one = draw({"a": 0.50, "b": 0.52}, images=(60,), seeds=1)["d0"]
    turned = {"a": one["b"], "b": one["a"]}
    found = mean_ranks({"d0": one, "d1": turned}, resamples=1000)
    assert found["a"].mean == found["b"].mean == 1.5
    assert (found["a"].low, found["a"].high) == (1, 2)  # the same draw in both would always make it 1.5


def test_what_cannot_be_ranked_is_refused(subtests: pytest.Subtests) -> None:
    tables = draw({"a": 0.5, "b": 0.6}, seeds=1)
    for name, wrong, message in (
        ("none", {}, "0 system"),
        ("one", {"d": {"a": tables["d0"]["a"]}}, "1 system"),
        ("a gap", {"d0": tables["d0"], "d1": {"a": tables["d1"]["a"]}}, r"'b' is not on every dataset \('d1'"),
        ("other samples", {"d0": {"a": tables["d0"]["a"], "b": tables["d1"]["b"]}}, "not on the same samples"),
    ):
        with subtests.test(msg=name), pytest.raises(ValueError, match=message):
            mean_ranks(wrong)
