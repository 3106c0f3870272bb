"""A region of a scene and its geometry, each number computed once from the mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Region:
    """One region of a scene.

    mask: (H, W) bool, at least one pixel, in the frame of the whole image. category: as it is to be read, "storage
    tank". colour: a colour word, or None where it is unknown (real masks). target: False for a region that no
    expression is written for and that anchors none, but that still makes others ambiguous (too small, a sliver).
    Raises ValueError for a mask of another type or, when its geometry is asked for, an empty one.
    """

    mask: NDArray[np.bool_]
    category: str
    colour: str | None = None
    target: bool = True

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            found = f"{self.mask.dtype} of shape {self.mask.shape}"
            raise ValueError(f"mask of region '{self.category}' is {found}; give an (H, W) bool array")

    @cached_property
    def _bounds(self) -> tuple[int, int, int, int]:
        rows = np.flatnonzero(self.mask.any(axis=1))
        if rows.size == 0:
            raise ValueError(f"mask of region '{self.category}' is empty; leave the region out of the scene")
        columns = np.flatnonzero(self.mask[rows[0] : rows[-1] + 1].any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def _marginals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels per column and per row of the bounding box."""
        x1, y1, x2, y2 = self._bounds
        crop = self.mask[y1:y2, x1:x2].astype(np.float32)  # exact: counts stay far below 2 ** 24
        columns, rows = np.ones(y2 - y1, np.float32) @ crop, crop @ np.ones(x2 - x1, np.float32)
        return columns.astype(np.float64), rows.astype(np.float64)

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 in pixels, right and bottom exclusive."""
        return self._bounds

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(self._marginals[0].sum())

    @cached_property
    def centroid(self) -> tuple[float, float]:
        """x, y in pixels; the centre of the top left pixel is (0.5, 0.5)."""
        (x1, y1, x2, y2), (columns, rows) = self._bounds, self._marginals
        x, y = columns @ np.arange(x1, x2), rows @ np.arange(y1, y2)
        return float(x / self.area + 0.5), float(y / self.area + 0.5)

    @cached_property
    def halves(self) -> tuple[float, float]:
        """Share of the mask's pixels in the left half and in the upper half of the image."""
        (height, width), (x1, y1, _, _), (columns, rows) = self.mask.shape, self._bounds, self._marginals
        left, upper = columns[: max(0, width // 2 - x1)].sum(), rows[: max(0, height // 2 - y1)].sum()
        return float(left / self.area), float(upper / self.area)

    @cached_property
    def central_share(self) -> float:
        """Share of the mask's pixels in the middle half of both axes."""
        height, width = self.mask.shape
        middle = self.mask[height // 4 : height - height // 4, width // 4 : width - width // 4]
        return np.count_nonzero(middle) / self.area

    @cached_property
    def extreme_points(self) -> NDArray[np.float64]:
        """(8, 2) x, y of pixels of the mask: the first and the last one along each side of the bounding box."""
        x1, y1, x2, y2 = self._bounds
        points = []
        for y in (y1, y2 - 1):
            columns = np.flatnonzero(self.mask[y, x1:x2])
            points += [(x1 + columns[0], y), (x1 + columns[-1], y)]
        for x in (x1, x2 - 1):
            rows = np.flatnonzero(self.mask[y1:y2, x])
            points += [(x, y1 + rows[0]), (x, y1 + rows[-1])]
        return np.asarray(points, np.float64)


def pieces(region: Region, tiles: int = 8) -> list[Region]:
    """What a grid of ``tiles`` by ``tiles`` cells cuts a region into, no targets; none where it is in one cell.

    A crowd is many objects under one mask: on the right as a whole, it may still have some of them on the left.
    """
    (height, width), (x1, y1, x2, y2) = region.mask.shape, region.bbox
    edges_x, edges_y = (np.arange(tiles + 1) * side // tiles for side in (width, height))
    found = []
    for top, bottom in pairwise(edges_y.tolist()):
        for left, right in pairwise(edges_x.tolist()):
            cell = (slice(top, bottom), slice(left, right))
            if top < y2 and bottom > y1 and left < x2 and right > x1 and region.mask[cell].any():
                mask = np.zeros_like(region.mask)
                mask[cell] = region.mask[cell]
                found.append(Region(mask, region.category, region.colour, target=False))
    return found if len(found) > 1 else []
