"""The eight symmetries of the square: of pixels, and of the directions that words name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP, LEFT, BOTTOM, RIGHT = range(4)  # counter-clockwise, as np.rot90 turns


@dataclass(frozen=True)
class Symmetry:
    """Left and right exchanged (``mirrored``), then ``turns`` quarter turns counter-clockwise, 0 to 3."""

    mirrored: bool = False
    turns: int = 0

    @property
    def crosses(self) -> bool:
        """Whether horizontal becomes vertical; height and width of an image are then exchanged."""
        return self.turns % 2 == 1

    def pixels(self, array: NDArray[Any]) -> NDArray[Any]:
        """(H, W, ...) -> (H, W, ...) or (W, H, ...), a contiguous copy unless nothing changes."""
        return np.ascontiguousarray(np.rot90(array[:, ::-1] if self.mirrored else array, self.turns))

    def direction(self, direction: int) -> int:
        """Where TOP, LEFT, BOTTOM or RIGHT comes to lie."""
        return (self.turns + (-direction if self.mirrored else direction)) % 4

    def then(self, other: Symmetry) -> Symmetry:
        """This one first, the other one after it."""
        turns = other.turns + (-self.turns if other.mirrored else self.turns)
        return Symmetry(self.mirrored != other.mirrored, turns % 4)

    def inverse(self) -> Symmetry:
        """What brings everything back."""
        return self if self.mirrored else Symmetry(False, -self.turns % 4)


IDENTITY = Symmetry()
LEFT_RIGHT = Symmetry(mirrored=True)
TOP_BOTTOM = Symmetry(mirrored=True, turns=2)
SYMMETRIES = tuple(Symmetry(mirrored, turns) for mirrored in (False, True) for turns in range(4))
ROTATIONS = tuple(symmetry for symmetry in SYMMETRIES if not symmetry.mirrored)
FLIPS = tuple(symmetry for symmetry in SYMMETRIES if not symmetry.crosses)
