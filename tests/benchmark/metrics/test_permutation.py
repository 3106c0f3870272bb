from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmark.metrics.permutation import holm, many_permutation_p, permutation_p
from tests.lines import draw_lines


def exact_p(difference: np.ndarray) -> float:
    """All 2^G exchanges."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(difference))))
    return float((np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9).mean())


def test_permutation_p_is_that_of_all_exchanges_of_images() -> None:
    rng = np.random.default_rng(4)
    a = draw_lines(rng, images=10, per_image=2, mean=0.6)
    b = draw_lines(rng, images=10, per_image=2, mean=0.5)
    iou = [(lines["intersection"] / lines["union"]).groupby(lines["image_id"]).sum() for lines in (a, b)]
    p = permutation_p(a, b)
    assert p == pytest.approx(exact_p((iou[0] - iou[1]).to_numpy()), abs=0.02)
    assert permutation_p(b, a) == p
    assert permutation_p(a, a) == 1.0
    assert permutation_p(a, b, permutations=500) == permutation_p(a, b, permutations=500)


def test_permutation_p_is_seldom_small_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    small = 0
    for _ in range(200):
        a, b = draw_lines(rng, images=30, per_image=2), draw_lines(rng, images=30, per_image=2)
        small += permutation_p(a, b, permutations=400) <= 0.05
    assert 3 <= small <= 20


def test_permutation_p_finds_what_is_there_and_refuses_what_it_cannot_do() -> None:
    rng = np.random.default_rng(0)
    a = draw_lines(rng, images=60, mean=0.4)
    b = a.assign(intersection=a["intersection"] // 2, predicted_area=a["intersection"] // 2)
    assert permutation_p(a, b) == pytest.approx(1 / 10_001)
    assert permutation_p([a, a], b, "precision_0.5") < 0.01
    with pytest.raises(ValueError, match="oiou"):
        permutation_p(a, b, "oiou")
    with pytest.raises(ValueError, match="permutations is 0"):
        permutation_p(a, b, permutations=0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p is 1.2"):
        holm([0.1, 1.2])


def test_several_at_once_have_each_the_p_that_it_has_alone() -> None:
    rng = np.random.default_rng(1)
    pairs = {
        (images, place): (draw_lines(rng, images), draw_lines(rng, images, mean=0.48))
        for images in (30, 9) for place in range(2)
    }  # fmt: skip
    together = many_permutation_p(iter(pairs.items()), permutations=500)
    assert together == {name: permutation_p(*pair, permutations=500) for name, pair in pairs.items()}
