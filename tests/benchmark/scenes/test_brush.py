from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.scenes.brush import Brush, shade


def test_a_disc_covers_its_area_at_every_size() -> None:
    for radius in (5, 20, 50, 90):
        brush = Brush(100.3, 99.8, radius)
        brush.ellipse(0, 0, 1, 1, (200, 100, 50))
        assert brush.stamp().alpha.sum() == pytest.approx(math.pi * radius**2, rel=0.06)


def test_a_drawing_lies_where_it_is_put() -> None:
    brush = Brush(40, 60, 10)
    brush.rect(-1, -0.5, 1, 0.5, (255, 255, 255))
    stamp = brush.stamp()
    rows, columns = np.nonzero(stamp.alpha >= 0.5)
    assert (columns.mean() + 0.5 + stamp.x, rows.mean() + 0.5 + stamp.y) == pytest.approx((40, 60), abs=0.5)


def test_turning_a_quarter_swaps_width_and_height() -> None:
    boxes = []
    for angle in (0.0, math.pi / 2):
        brush = Brush(50, 50, 20, angle, extent=(1, 0.3))
        brush.rect(-1, -0.3, 1, 0.3, (90, 90, 90))
        alpha = brush.stamp().alpha >= 0.5
        boxes.append((int(alpha.any(axis=0).sum()), int(alpha.any(axis=1).sum())))
    assert boxes[0] == pytest.approx(boxes[1][::-1], abs=1)


def test_no_colour_cuts_a_hole() -> None:
    brush = Brush(30, 30, 20)
    brush.ellipse(0, 0, 1, 1, (10, 10, 10))
    brush.ellipse(0, 0, 0.5, 0.5, None)
    stamp = brush.stamp()
    centre = (30 - stamp.y, 30 - stamp.x)
    assert stamp.alpha[centre] == 0
    assert stamp.paint[centre].sum() == 0


def test_a_mirrored_drawing_points_the_other_way() -> None:
    sides = []
    for mirror in (False, True):
        brush = Brush(30, 30, 20, mirror=mirror)
        brush.rect(0.5, -0.2, 1, 0.2, (10, 10, 10))
        stamp = brush.stamp()
        sides.append(float(np.nonzero(stamp.alpha >= 0.5)[1].mean()) + stamp.x > 30)
    assert sides == [True, False]


def test_shades_stay_within_range() -> None:
    for factor in (0.0, 0.5, 1.0, 1.5, 3.0):
        assert all(0 <= c <= 255 for c in shade((255, 0, 128), factor))
