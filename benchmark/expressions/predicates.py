"""What can be said of a region, judged for every region of a scene at once, in three-valued logic with stated margins.

Arrays end in their dimensions: R regions, T the region that an expression is meant for, H the two head nouns (0: the
category, 1: the colour and category).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.expressions.regions import Region

TRUE, UNCLEAR, FALSE = 1, 0, -1  # min() of verdicts is their conjunction

# Margins. Lengths are shares of the image's width or height (position) or of its longer side (relation).
AREA_RATIO = 1.3  # "largest", "smallest": this many times the area of (or smaller than) the next
HALF_TRUE, HALF_FALSE = 0.40, 0.55  # "on the left": centroid at most / at least here, and ...
HALF_SHARE_TRUE, HALF_SHARE_FALSE = 0.70, 0.45  # ... at least / at most this share of the mask in that half
CORNER_TRUE, CORNER_FALSE = 0.28, 0.42  # "in the corner": the same with a tighter centroid, along both axes
CENTRE_TRUE, CENTRE_FALSE = (
    0.12,
    0.25,
)  # "in the center": distance of the centroid from the middle, along both axes, and ...
CENTRE_SHARE_TRUE, CENTRE_SHARE_FALSE = 0.60, 0.40  # ... share of the mask in the middle half of both axes
EXTREME_CENTROID, EXTREME_EDGE = 0.08, 0.02  # "leftmost": by centroid and by the near edge of the box
SLOPE = 0.6  # "left of": |dy| <= SLOPE |dx| between centroids; clearly not: |dx| <= SLOPE |dy|
CLOSER = 0.05  # "closest to": at least this much nearer, by bounds on the distance between the masks
NEXT_TRUE, NEXT_FALSE = 0.12, 0.20  # "next to": bounds on the distance between the masks

SIDES = ("left", "right", "top", "bottom")
ORDINALS = ("second", "third", "fourth")  # nobody counts further; the first is "leftmost"
CORNERS = (
    ("upper left", "top left"),
    ("upper right", "top right"),
    ("lower left", "bottom left"),
    ("lower right", "bottom right"),
)


@dataclass(frozen=True, eq=False)
class Locator:
    """A predicate beside the noun: the kind of expression it makes, its name, verdict (broadcastable to (H, T, R)) and
    anchor (a region's index; -1: none)."""

    kind: str
    name: str
    verdict: NDArray[np.int8]
    anchor: int = -1


def _verdict(true: NDArray[np.bool_], false: NDArray[np.bool_]) -> NDArray[np.int8]:
    return np.where(true, TRUE, np.where(false, FALSE, UNCLEAR)).astype(np.int8)


def nouns(regions: Sequence[Region]) -> NDArray[np.int8]:
    """(H, T, R): is region R what the category (0), or the colour and category (1), of region T says?"""
    categories = np.array([region.category for region in regions])
    colours = np.array([region.colour or "" for region in regions])
    known = colours != ""
    same = _verdict(categories[:, None] == categories, categories[:, None] != categories)
    colour = _verdict((colours[:, None] == colours) & known, (colours[:, None] != colours) & known)
    colour[~known] = FALSE  # a region without a known colour has no such noun
    return np.stack([same, np.minimum(same, colour)])


def _superlative(better_RR: NDArray[np.bool_], nouns_HTR: NDArray[np.int8]) -> NDArray[np.int8]:
    """(H, T, R): is region R the first, by a clear margin, of all that T's noun may mean?

    better_RR[a, b]: a clearly precedes b. FALSE of every region unless the noun surely means two at least: "the
    largest" of one says nothing.
    """
    possible = nouns_HTR != FALSE
    others = ~np.eye(len(better_RR), dtype=bool)
    unbeaten = ~np.any(possible[:, :, None, :] & others & ~better_RR, axis=-1)
    beaten = np.any((nouns_HTR == TRUE)[:, :, None, :] & better_RR.T, axis=-1)
    lonely = (nouns_HTR == TRUE).sum(axis=-1, keepdims=True) < 2
    return _verdict(unbeaten & ~lonely, beaten | lonely)


def positions(regions: Sequence[Region]) -> list[Locator]:
    """ "left", "upper left corner", "center": where centroid and most of the mask are in the image."""
    height, width = regions[0].mask.shape
    centroid = np.array([region.centroid for region in regions]) / (width, height)
    shares = np.array([region.halves for region in regions])
    central = np.array([region.central_share for region in regions])
    half, corner = {}, {}
    for side, axis, far in (("left", 0, False), ("top", 1, False), ("right", 0, True), ("bottom", 1, True)):
        at, share = (1 - centroid[:, axis], 1 - shares[:, axis]) if far else (centroid[:, axis], shares[:, axis])
        most, little = share >= HALF_SHARE_TRUE, share <= HALF_SHARE_FALSE
        half[side] = _verdict((at <= HALF_TRUE) & most, (at >= HALF_FALSE) & little)
        corner[side] = _verdict((at <= CORNER_TRUE) & most, at >= CORNER_FALSE)
    found = [Locator("position", side, half[side]) for side in SIDES]
    for names in CORNERS:
        vertical, horizontal = names[1].split()
        found.append(Locator("position", names[0], np.minimum(half[vertical], half[horizontal])))
        found.append(Locator("position", f"{names[0]} corner", np.minimum(corner[vertical], corner[horizontal])))
    off = np.abs(centroid - 0.5).max(axis=1)
    inside = (off <= CENTRE_TRUE) & (central >= CENTRE_SHARE_TRUE)
    outside = (off >= CENTRE_FALSE) & (central <= CENTRE_SHARE_FALSE)
    return [*found, Locator("position", "center", _verdict(inside, outside))]


def superlatives(regions: Sequence[Region], nouns_HTR: NDArray[np.int8]) -> list[Locator]:
    """ "largest", "leftmost": the first of what the noun means."""
    area = np.array([region.area for region in regions], np.float64)
    larger = area[:, None] >= AREA_RATIO * area
    found = [Locator("size", "largest", _superlative(larger, nouns_HTR))]
    found.append(Locator("size", "smallest", _superlative(larger.T, nouns_HTR)))
    for side, first in _orders(regions).items():
        found.append(Locator("position", f"{side}most", _superlative(first, nouns_HTR)))
    return found


def ordinals(regions: Sequence[Region], nouns_HTR: NDArray[np.int8]) -> list[Locator]:
    """ "second from the left": of three at least that the noun means, clearly so many are before it.

    Whether a region that is no target counts is for the reader to say, who may not see a sliver: where it matters, the
    verdict is UNCLEAR.
    """
    counted = (nouns_HTR == TRUE) & np.array([region.target for region in regions])
    possible = nouns_HTR != FALSE
    few = counted.sum(axis=-1, keepdims=True) <= 2
    others = ~np.eye(len(regions), dtype=bool)
    found = []
    for side, first in _orders(regions).items():
        least = np.einsum("htr,rs->hts", counted.astype(int), (first & others).astype(int))
        most = np.einsum("htr,rs->hts", possible.astype(int), (~first.T & others).astype(int))
        for before, word in enumerate(ORDINALS, start=1):
            verdict = _verdict((least == before) & (most == before) & ~few, (least > before) | (most < before) | few)
            found.append(Locator("order", f"{word} from the {side}", verdict))
    return found


def _orders(regions: Sequence[Region]) -> dict[str, NDArray[np.bool_]]:
    """Side -> (R, R): is the row's region clearly nearer to that side of the image than the column's?"""
    height, width = regions[0].mask.shape
    centroid = np.array([region.centroid for region in regions]) / (width, height)
    boxes = np.array([region.bbox for region in regions]) / (width, height, width, height)
    found = {}
    for side, axis in (("left", 0), ("right", 0), ("top", 1), ("bottom", 1)):
        far = side in ("right", "bottom")
        at, edge = (-centroid[:, axis], -boxes[:, axis + 2]) if far else (centroid[:, axis], boxes[:, axis])
        found[side] = (at[:, None] <= at - EXTREME_CENTROID) & (edge[:, None] <= edge - EXTREME_EDGE)
    return found


def relations(regions: Sequence[Region], nouns_HTR: NDArray[np.int8], anchors: Sequence[int]) -> list[Locator]:
    """ "left of", "closest", "next" to each of the regions in ``anchors``."""
    longer = max(regions[0].mask.shape)
    centroid = np.array([region.centroid for region in regions])
    boxes = np.array([region.bbox for region in regions], np.float64)
    points = np.stack([region.extreme_points for region in regions])
    indices = np.arange(len(regions))
    found = []
    for anchor in anchors:
        box, offset = boxes[anchor], centroid - centroid[anchor]
        for name, axis, far in (("left of", 0, False), ("right of", 0, True), ("above", 1, False), ("below", 1, True)):
            along, across = (-offset[:, axis] if not far else offset[:, axis]), np.abs(offset[:, 1 - axis])
            apart = boxes[:, axis] >= box[axis + 2] if far else boxes[:, axis + 2] <= box[axis]
            # beside a long anchor a steep direction between centroids says little: outside its extent only
            outside = (centroid[:, 1 - axis] < box[1 - axis]) | (centroid[:, 1 - axis] > box[3 - axis])
            verdict = _verdict(apart & (across <= SLOPE * along), (along <= 0) | ((along <= SLOPE * across) & outside))
            found.append(Locator("relation", name, verdict, anchor))
        gaps = np.maximum(np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:]), 0)
        lower = np.hypot(gaps[:, 0], gaps[:, 1]) / longer  # the masks are at least this far apart ...
        steps = points[:, :, None] - points[anchor]
        upper = np.sqrt((steps**2).sum(-1).min(axis=(1, 2))) / longer  # ... and at most this
        itself = indices == anchor
        without = np.where(itself, FALSE, nouns_HTR).astype(np.int8)
        closer = upper[:, None] <= lower - CLOSER
        closest = np.where(itself, FALSE, _superlative(closer, without)).astype(np.int8)
        found.append(Locator("relation", "closest", closest, anchor))
        true = (upper <= NEXT_TRUE) & (gaps.max(axis=1) > 0) & ~itself
        found.append(Locator("relation", "next", _verdict(true, (lower >= NEXT_FALSE) | itself), anchor))
    return found
