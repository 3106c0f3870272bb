from __future__ import annotations

import itertools

import numpy as np

from benchmark.augmentation.symmetry import (
    BOTTOM,
    FLIPS,
    IDENTITY,
    LEFT,
    LEFT_RIGHT,
    RIGHT,
    ROTATIONS,
    SYMMETRIES,
    TOP,
    TOP_BOTTOM,
)

PICTURE = np.arange(24).reshape(4, 6)


def test_a_direction_moves_as_the_pixels_that_lie_there() -> None:
    """One bright stripe along each side of a square, found again after every symmetry."""
    at = {TOP: (0, 4), BOTTOM: (8, 4), LEFT: (4, 0), RIGHT: (4, 8)}
    for symmetry, (direction, place) in itertools.product(SYMMETRIES, at.items()):
        picture = np.zeros((9, 9), bool)
        picture[place] = True
        assert symmetry.pixels(picture)[at[symmetry.direction(direction)]], (symmetry, direction)


def test_the_eight_are_a_group_of_pixels_and_of_directions() -> None:
    assert len({symmetry.pixels(PICTURE).tobytes() for symmetry in SYMMETRIES}) == 8
    for a, b in itertools.product(SYMMETRIES, SYMMETRIES):
        assert np.array_equal(b.pixels(a.pixels(PICTURE)), a.then(b).pixels(PICTURE))
        assert all(b.direction(a.direction(k)) == a.then(b).direction(k) for k in range(4))
        assert a.then(b) in SYMMETRIES
    assert all(symmetry.then(symmetry.inverse()) == IDENTITY for symmetry in SYMMETRIES)


def test_flips_and_rotations_are_what_they_are_called() -> None:
    assert np.array_equal(LEFT_RIGHT.pixels(PICTURE), PICTURE[:, ::-1])
    assert np.array_equal(TOP_BOTTOM.pixels(PICTURE), PICTURE[::-1])
    assert {LEFT_RIGHT, TOP_BOTTOM} < set(FLIPS)
    assert all(symmetry.pixels(PICTURE).shape == PICTURE.shape for symmetry in FLIPS)
    assert [np.array_equal(s.pixels(PICTURE), np.rot90(PICTURE, s.turns)) for s in ROTATIONS] == [True] * 4
    assert all(symmetry.pixels(PICTURE).flags["C_CONTIGUOUS"] for symmetry in SYMMETRIES)
