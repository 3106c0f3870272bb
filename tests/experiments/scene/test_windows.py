from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.scene.windows import Axis, make_plan


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    length = draw(st.integers(1, 300))
    side = draw(st.integers(min(5, length), length))
    return Axis(length, side, draw(st.integers(0, side - 1)))


@settings(max_examples=50, deadline=None)
@given(axes())
def test_windows_reach_from_edge_to_edge_and_share_what_is_asked(axis: Axis) -> None:
    starts = axis.starts
    assert (starts[0], starts[-1] + axis.side) == (0, axis.length)
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (axis.side - steps >= axis.overlap).all()


@settings(max_examples=50, deadline=None)
@given(axes())
def test_over_every_pixel_the_weights_add_up_to_one(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        assert (weights > 0).all()
        total[start : start + axis.side] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_a_window_counts_for_next_to_nothing_at_its_border() -> None:
    """Where a window begins, the sum must not jump: that would be a seam."""
    axis = Axis(1000, 256, 64)
    assert len(axis.starts) == 5
    for start, weights in zip(axis.starts[1:], axis.weights()[1:], strict=True):
        assert start > 0
        assert weights[0] < 0.001
        assert np.abs(np.diff(weights)).max() < 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(3, 40), st.floats(0, 0.9))
def test_lines_are_final_once_no_later_window_lies_over_them(
    height: int, width: int, side: int, overlap: float
) -> None:
    plan = make_plan(height, width, (side, side), overlap)
    windows = [window for row in range(plan.rows) for window in plan.windows(row)]
    assert [window.number for window in windows] == list(range(len(plan)))
    for row in range(plan.rows):
        later = [window.top for window in windows if window.row > row]
        assert plan.final(row) == min(later, default=height)


def test_windows_that_never_move_on_are_refused() -> None:
    for side, overlap in ((0, 0), (10, 10), (11, 0)):
        with pytest.raises(ValueError, match="share"):
            Axis(10, side, overlap)
