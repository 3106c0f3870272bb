"""What a mask is like, from its run-length code: area, centroid, box, pieces, holes, without drawing its pixels.

COCO's code runs down the columns. Cut at the columns' ends, its runs are the nodes of a graph: two runs of neighbouring
columns are linked if they touch, corners included. The pieces of the mask (8-neighbour) are the graph's components, and
its independent cycles are the holes (4-neighbour regions of background that the mask encloses): the graph is planar, as
two pairs of runs cannot all touch crosswise. So a mask costs as much as it has runs, and many are done in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmark.data.errors import SampleError
from benchmark.data.rle import run_lengths

HEAT = 32  # cells of a side of the heat map

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """Of N masks of one size; of an empty mask everything is 0.

    area, pieces, holes: (N,). crumbs: (N,) pieces if corners did not join (4 neighbours). centroid: (N, 2) x, y as
    shares of width and height. boxes: (N, 4) x1, y1, x2, y2 in pixels, right and bottom exclusive. heat: (HEAT, HEAT)
    sum of the masks over the unit square, in masks.
    """

    area: Ints
    centroid: Floats
    boxes: Ints
    pieces: Ints
    crumbs: Ints
    holes: Ints
    heat: Floats


def measure_masks(counts: Sequence[str], sample_ids: Sequence[str], height: int, width: int) -> MaskFacts:
    """Of masks of one size.

    Raises:
        SampleError: a code is not of that size.
    """
    starts, ends, owner = _runs(counts, sample_ids, height, width)
    # cut at the columns' ends
    first, last = starts // height, (ends - 1) // height
    pieces_of_run = last - first + 1
    of_run = np.repeat(np.arange(len(starts)), pieces_of_run)
    column = first[of_run] + np.arange(len(of_run)) - np.repeat(np.cumsum(pieces_of_run) - pieces_of_run, pieces_of_run)
    top = np.maximum(starts[of_run] - column * height, 0)
    bottom = np.minimum(ends[of_run] - column * height, height)
    owner, length, number = owner[of_run], bottom - top, len(counts)
    area = np.bincount(owner, length, number)
    middle = np.stack([column + 0.5, (top + bottom) / 2], axis=-1) * length[:, None] / (width, height)
    sums = np.stack([np.bincount(owner, middle[:, axis], number) for axis in (0, 1)], axis=-1)
    runs = np.bincount(owner, minlength=number)
    links = _links(owner, column, top, bottom, height, width, corners=True)
    sides = _links(owner, column, top, bottom, height, width, corners=False)
    pieces = _components(owner, links, number)
    holes = np.bincount(owner[links[:, 0]], minlength=number) - runs + pieces
    return MaskFacts(
        area=area.astype(np.int64),
        centroid=sums / np.maximum(area, 1)[:, None],
        boxes=_boxes(runs, column, top, bottom),
        pieces=pieces,
        crumbs=_components(owner, sides, number),
        holes=holes,
        heat=_heat(column, top, bottom, height, width),
    )


def _runs(counts: Sequence[str], sample_ids: Sequence[str], height: int, width: int) -> tuple[Ints, Ints, Ints]:
    """Start, end (exclusive) and mask of every run of mask pixels; runs that touch are one."""
    starts, ends = [], []
    for text, sample_id in zip(counts, sample_ids, strict=True):
        lengths = run_lengths(text)
        if lengths.sum() != height * width:
            raise SampleError(
                f"sample '{sample_id}': mask '{text[:40]}' does not fill {height}x{width} pixels (height x width); "
                "encode it with encode_mask()"
            )
        reached = np.cumsum(lengths)
        begin, end = reached[:-1:2], reached[1::2]
        kept = end > begin
        begin, end = begin[kept], end[kept]
        apart = begin[1:] > end[:-1]
        starts.append(np.concatenate([begin[:1], begin[1:][apart]]))
        ends.append(np.concatenate([end[:-1][apart], end[-1:]]))
    owner = np.repeat(np.arange(len(counts)), [len(part) for part in starts])
    return np.concatenate(starts), np.concatenate(ends), owner


def _links(owner: Ints, column: Ints, top: Ints, bottom: Ints, height: int, width: int, *, corners: bool) -> Ints:
    """(L, 2) indices of runs in neighbouring columns of one mask that touch; with corners, also where they meet."""
    column_key = (owner * (width + 1) + column) * (height + 2)  # a free column between masks
    following = column_key + height + 2
    low = np.searchsorted(column_key + bottom, following + top, side="left" if corners else "right")
    high = np.searchsorted(column_key + top, following + bottom, side="right" if corners else "left")
    touching = np.maximum(high - low, 0)
    left = np.repeat(np.arange(len(owner)), touching)
    right = np.repeat(low - np.cumsum(touching) + touching, touching) + np.arange(len(left))
    return np.stack([left, right], axis=-1)


def _components(owner: Ints, links: Ints, number: int) -> Ints:
    """How many components the runs of each of the masks form."""
    if not len(owner):
        return np.zeros(number, np.int64)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(len(owner), len(owner)))
    labels = connected_components(graph, directed=False)[1]
    return np.bincount(owner[np.unique(labels, return_index=True)[1]], minlength=number)


def _boxes(runs: Ints, column: Ints, top: Ints, bottom: Ints) -> Ints:
    boxes = np.zeros((len(runs), 4), np.int64)
    some = runs > 0
    if some.any():
        at = (np.cumsum(runs) - runs)[some]
        low = [np.minimum.reduceat(values, at) for values in (column, top)]
        high = [np.maximum.reduceat(values, at) for values in (column + 1, bottom)]
        boxes[some] = np.stack([*low, *high], axis=-1)
    return boxes


def _heat(column: Ints, top: Ints, bottom: Ints, height: int, width: int) -> Floats:
    """(HEAT, HEAT): how many masks cover a cell, in shares of the cell."""
    size = width * (height + 1)
    steps = np.bincount(column * (height + 1) + top, minlength=size)
    steps -= np.bincount(column * (height + 1) + bottom, minlength=size)
    covered = np.cumsum(steps.reshape(width, height + 1), axis=1)[:, :height].astype(np.float64)
    return _shares(height) @ covered.T @ _shares(width).T


def _shares(length: int) -> Floats:
    """(HEAT, length): what share of a cell each pixel is; each row sums to 1."""
    edges = np.linspace(0, length, HEAT + 1)
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(overlap, 0) * HEAT / length
