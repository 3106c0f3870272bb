"""Square windows laid around the objects of an image, so that borders cut as few of them as they can (`coco`, `vhr10`).

Of all squares of the sides that are asked for, on a grid of STEP pixels, the one is taken that holds the most objects
which no earlier one holds, less those that it cuts; then the next one, which may not overlap an earlier one, until
there is none that holds more than it cuts. Among equals the smallest side, then chance: a rule such as "the first"
would put all objects in one corner. An object is held if all of it and MARGIN pixels around it are inside (the image's
own border needs no margin), and if it is neither too small nor too large in that window (min_area, max_area).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEP, MARGIN = 8, 4  # pixels of the image

Square = tuple[int, int, int]  # y, x of the first pixel, side


def lay_windows(
    height: int,
    width: int,
    boxes: NDArray[np.int64],
    areas: NDArray[np.int64],
    sides: Sequence[int],
    most: int,
    shares: tuple[float, float],
    rng: np.random.Generator,
) -> list[Square]:
    """Up to ``most`` windows of an image, the one that holds most objects first.

    boxes: (N, 4) x1, y1, x2, y2 in pixels, right and bottom exclusive. areas: (N) pixels. sides: of windows, pixels;
    one larger than the image's shorter side becomes that. shares: least and greatest area of an object that counts as
    held, of the window's. No objects, no windows.
    """
    if not len(boxes):
        return []
    grown = boxes + np.array([-MARGIN, -MARGIN, MARGIN, MARGIN])
    grown = np.clip(grown, 0, [width, height, width, height])
    offered = [
        (side, *_judged(side, grown, areas, height, width, shares))
        for side in sorted({min(side, height, width) for side in sides})
    ]
    left, chosen = np.ones(len(boxes), bool), list[Square]()
    while len(chosen) < most:
        best, found = 0, list[tuple[Square, NDArray[np.bool_]]]()
        for side, places, held_PN, cut_P in offered:
            gain_P = (held_PN & left).sum(axis=1) - cut_P
            gain_P[_overlapping(places, side, chosen)] = 0
            if gain_P.max() > best:  # of a larger side: only if it is better
                best = int(gain_P.max())
                equals = np.flatnonzero(gain_P == best)
                found = [((*places[k].tolist(), side), held_PN[k]) for k in equals]
        if not found:
            break
        window, held = found[int(rng.integers(len(found)))]
        chosen.append(window)
        left &= ~held
    return chosen


def _judged(
    side: int,
    grown: NDArray[np.int64],
    areas: NDArray[np.int64],
    height: int,
    width: int,
    shares: tuple[float, float],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """The places of a window of ``side``: (P, 2) y, x; (P, N) which objects each holds; (P) how many it cuts."""
    ys, xs = (np.unique([*range(0, size - side, STEP), size - side]) for size in (height, width))
    places = np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)
    top, left = places[:, :1], places[:, 1:]
    x1, y1, x2, y2 = grown.T
    inside = (x1 >= left) & (y1 >= top) & (x2 <= left + side) & (y2 <= top + side)
    seen = (x1 < left + side) & (y1 < top + side) & (x2 > left) & (y2 > top)
    fits = (areas >= shares[0] * side**2) & (areas <= shares[1] * side**2)
    return places, inside & fits, (seen & ~inside).sum(axis=1)


def _overlapping(places: NDArray[np.int64], side: int, chosen: Sequence[Square]) -> NDArray[np.bool_]:
    """(P) whether a window of ``side`` at each place shares a pixel with one that is chosen."""
    y, x = places.T
    shared = np.zeros(len(places), bool)
    for top, left, other in chosen:
        shared |= (y < top + other) & (x < left + other) & (y + side > top) & (x + side > left)
    return shared
