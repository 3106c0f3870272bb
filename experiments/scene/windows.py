"""Which windows a scene is predicted in, and how what they say of the same pixel is blended.

Along each side windows of one length are laid evenly from edge to edge, so that neighbours share the asked overlap or
more. A window counts for most in its middle and for nearly nothing at its border (the square of a sine); the weights
of all windows over a pixel are divided by their sum, so that they add up to 1. So no window's border shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """Windows along one side. length: of the scene. side: of a window, at most the length. overlap: that neighbours
    have at least. All in pixels.

    Raises ValueError for a window without pixels, or for windows that would never move on.
    """

    length: int
    side: int
    overlap: int

    def __post_init__(self) -> None:
        if not 1 <= self.side <= self.length or not 0 <= self.overlap < self.side:
            raise ValueError(
                f"windows of {self.side} pixels that share {self.overlap}, along {self.length}: a window has at least "
                "one pixel, lies inside and shares less than all of itself"
            )

    @property
    def starts(self) -> tuple[int, ...]:
        """The first pixel of every window, rising."""
        count = -(-(self.length - self.overlap) // (self.side - self.overlap))
        last = self.length - self.side
        return tuple(place * last // max(count - 1, 1) for place in range(max(count, 1 + (last > 0))))

    def weights(self) -> list[NDArray[np.float32]]:
        """Of every window, what each of its pixels counts, in (0, 1]; over a pixel of the scene they add up to 1."""
        bump = np.sin(np.pi * (np.arange(self.side) + 0.5) / self.side) ** 2
        total = np.zeros(self.length)
        for start in self.starts:
            total[start : start + self.side] += bump
        return [(bump / total[start : start + self.side]).astype(np.float32) for start in self.starts]


@dataclass(frozen=True)
class Window:
    """A window's place: its number in the plan, its row and column among the windows, and its pixels."""

    number: int
    row: int
    column: int
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Plan:
    """The windows of a scene, row by row from its top left. down, across: along its height and its width."""

    down: Axis
    across: Axis

    @property
    def rows(self) -> int:
        """How many rows of windows there are."""
        return len(self.down.starts)

    def __len__(self) -> int:
        return len(self.down.starts) * len(self.across.starts)

    def windows(self, row: int) -> Iterator[Window]:
        """The windows of one row, from the left."""
        across = self.across.starts
        for column, left in enumerate(across):
            number = row * len(across) + column
            yield Window(number, row, column, self.down.starts[row], left, self.down.side, self.across.side)

    def final(self, row: int) -> int:
        """How many lines of the scene no window of a later row lies over."""
        return self.down.starts[row + 1] if row + 1 < self.rows else self.down.length


def make_plan(height: int, width: int, sides: tuple[int, int], overlap: float) -> Plan:
    """Windows of sides (down, across) over a scene, both in pixels; a window is no larger than the scene.

    overlap: that neighbours share at least, as a share of a window's side, in [0, 1).
    """
    down, across = min(sides[0], height), min(sides[1], width)
    return Plan(Axis(height, down, int(overlap * down)), Axis(width, across, int(overlap * across)))
