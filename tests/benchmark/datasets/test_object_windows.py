from __future__ import annotations

import numpy as np

from benchmark.datasets.object_windows import MARGIN, Square, lay_windows


def laid(boxes: list[tuple[int, int, int, int]], sides: tuple[int, ...] = (64, 128), most: int = 9) -> list[Square]:
    """Of an image of 200 x 300 (height x width); objects of 1 % to half of a window are held."""
    found = np.array(boxes)
    areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    return lay_windows(200, 300, found, areas, sides, most, (0.01, 0.5), np.random.default_rng(0))


def holds(window: Square, box: tuple[int, int, int, int], margin: int = MARGIN) -> bool:
    y, x, side = window
    x1, y1, x2, y2 = box
    return x1 - margin >= x and y1 - margin >= y and x2 + margin <= x + side and y2 + margin <= y + side


def test_objects_that_fit_into_one_window_share_it_and_the_smallest_that_holds_them_is_taken() -> None:
    near, far = [(20, 20, 40, 40), (50, 50, 66, 66)], (220, 150, 240, 170)
    windows = laid([*near, far])
    assert [side for _, _, side in windows] == [64, 64]
    assert all(holds(windows[0], box) for box in near)
    assert holds(windows[1], far)
    assert laid([*near, far], most=1) == windows[:1]


def test_a_window_goes_around_what_it_would_cut_and_none_lies_over_another() -> None:
    boxes = [(x, y, x + 20, y + 20) for x in range(10, 290, 31) for y in range(10, 180, 33)]
    windows = laid(boxes, sides=(64,))
    assert len(windows) > 3
    for k, (y, x, side) in enumerate(windows):
        assert 0 <= y <= 200 - side
        assert 0 <= x <= 300 - side
        held = sum(holds((y, x, side), box) for box in boxes)
        seen = sum(a < x + side and c > x and b < y + side and d > y for a, b, c, d in boxes)
        assert held > seen - held
        assert not any(y < b + other and b < y + side and x < a + other and a < x + side for b, a, other in windows[:k])


def test_what_is_too_large_for_a_window_gets_a_larger_one_or_none() -> None:
    assert [side for _, _, side in laid([(20, 20, 70, 70)])] == [128]  # more than half of 64 x 64
    assert laid([(20, 20, 180, 180)]) == []
    assert laid([(20, 20, 24, 24)]) == []  # less than 1 % of 64 x 64
    (window,) = laid([(0, 0, 60, 60)], sides=(500,))  # the image's shorter side; its border needs no margin
    assert window[::2] == (0, 200)
