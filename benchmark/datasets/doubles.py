"""Objects that are drawn twice, after a merge or by two people: by their pixels, not by how they are written.

Of objects of one category with the same pixels the first alone is read: no sentence could tell an object from itself,
so that of one drawn twice there would be no sample at all. Whether two that differ by a few pixels are one object is
not decided here; they are named.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ALIKE = 0.8  # intersection over union from which two masks of one category are hardly two objects, seen from above
SLACK = 1  # pixels that the boxes of such two are apart at most

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # of two objects at the same place


class Doubles(NamedTuple):
    """again: objects that have the pixels of an earlier one, and which. alike: pairs that have nearly the same."""

    again: dict[int, int]
    alike: list[tuple[int, int]]


def find_doubles(
    boxes: NDArray[np.int64], kinds: Sequence[Hashable], masks: Callable[[int, int], Iterable[Masks]]
) -> Doubles:
    """boxes: (N, 4), pixels. kinds: of each, what only objects that could be one share. masks: gives of two objects
    their pixels wherever one of them has some."""
    found = Doubles({}, [])
    if len(boxes) < 2:
        return found
    unique, places = np.unique(boxes, axis=0, return_inverse=True)
    near = [[box] for box in range(len(unique))]
    for one, other in cKDTree(unique).query_pairs(SLACK, p=np.inf):
        near[one].append(other)
        near[other].append(one)
    kept: list[list[int]] = [[] for _ in near]
    for other, box in enumerate(places.ravel().tolist()):
        close = sorted(one for there in near[box] for one in kept[there] if kinds[one] == kinds[other])
        shares = {one: _overlap(masks(one, other)) for one in close}
        if same := [one for one, share in shares.items() if share == 1]:
            found.again[other] = same[0]
            continue
        found.alike.extend((one, other) for one, share in shares.items() if share >= ALIKE)
        kept[box].append(other)
    return found


def _overlap(masks: Iterable[Masks]) -> float:
    """Intersection over union of two objects; 0 where they have no pixels."""
    shared = whole = 0
    for one, other in masks:
        shared += int(np.count_nonzero(one & other))
        whole += int(np.count_nonzero(one | other))
    return shared / whole if whole else 0.0


def told(again: Sequence[str], alike: Sequence[str], whole: int, what: str) -> list[str]:
    """What is said of them. again, alike: "3 as 0" each. whole, what: of so many annotations or polygons."""
    said = []
    if again:
        said.append(
            f"{len(again):,} of {whole:,} {what} have the same pixels as an earlier one of the same category "
            f"({_some(again)}); each is read once"
        )
    if alike:
        said.append(
            f"{len(alike):,} of {whole:,} {what} have nearly the pixels of another of the same category "
            f"({_some(alike)}); if they are one object, delete one: no sentence can tell them apart"
        )
    return said


def _some(named: Sequence[str]) -> str:
    return f"{', '.join(named[:5])}{' ...' * (len(named) > 5)}"
