"""Masks as spans of pixels down the columns: areas, overlaps, erosion and other sizes, without a pixel.

A mask of 1024 x 1024 pixels has a million of them and a few hundred spans. The masks here are of one size, (H, W), and
lie one behind the other on one line: mask n from n * `stride(H, W, gap)` on, column by column, and behind each `gap`
empty columns, which keep it apart from the next. All of them are worked on at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.rle import check_size, many_run_lengths, run_lengths

Places = NDArray[np.int64]


class Spans(NamedTuple):
    """Where spans begin and where they end (exclusive), in order; none is empty, and none touches the next."""

    start: Places
    end: Places


def stride(height: int, width: int, gap: int) -> int:
    """How far it is from one mask to the next."""
    return height * (width + gap)


def read_spans(codes: Sequence[str], height: int, width: int, gap: int = 1) -> Spans:
    """The spans of COCO's compressed counts.

    Raises:
        ValueError: one is no such code, or does not fill exactly that size; the first is described.
    """
    numbers, many = many_run_lengths(codes)
    first, pixels = np.cumsum(many) - many, height * width
    # the first, so that no sum can overflow
    if (numbers > pixels).any() or (np.add.reduceat(numbers, first) != pixels).any():
        for code in codes:
            check_size(run_lengths(code), height, width)
    end = np.cumsum(numbers) + np.repeat(np.arange(len(codes)) * (height * gap), many)
    odd = (np.arange(len(numbers)) - np.repeat(first, many)) % 2 == 1
    there = np.flatnonzero(odd & (numbers > 0))
    start, end = end[there] - numbers[there], end[there]
    apart = start[1:] != end[:-1]  # a run of no background lies between others
    begins, ends = (np.concatenate(parts)[: len(start)] for parts in (([True], apart), (apart, [True])))
    return Spans(start[begins], end[ends])


def shared(one: Spans, other: Spans) -> Spans:
    """What lies in both."""
    low = np.searchsorted(other.end, one.start, side="right")  # the first that ends behind the start
    count = np.searchsorted(other.start, one.end, side="left") - low
    first = np.repeat(np.arange(len(count)), count)
    second = np.arange(len(first)) + np.repeat(low - np.cumsum(count) + count, count)
    return Spans(np.maximum(one.start[first], other.start[second]), np.minimum(one.end[first], other.end[second]))


def eroded(spans: Spans, height: int, depth: int) -> Spans:
    """The pixels from which `depth` steps to a neighbour, corners included, cannot leave the mask; outside of the image
    is nothing. The gap between the masks must be 2 * depth + 1 or more."""
    start, end = spans
    column = start // height
    parts = (end - 1) // height - column + 1
    which = np.repeat(np.arange(len(parts)), parts)
    top = height * (column[which] + np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts))
    start, end = np.maximum(start[which], top) + depth, np.minimum(end[which], top + height) - depth
    left = Spans(start[start < end] + depth * height, end[start < end] + depth * height)
    have, wanted = 1, 2 * depth + 1  # columns side by side of which all are asked for: 1, 2, 4, ...
    while have < wanted:
        step = min(have, wanted - have)
        left = shared(left, Spans(left.start - step * height, left.end - step * height))
        have += step
    return left


def area(spans: Spans, masks: int, distance: int) -> Places:
    """Pixels of each of so many masks; distance: their `stride`."""
    return _of_each(spans, spans.end - spans.start, masks, distance)


def area_resized(spans: Spans, masks: int, height: int, width: int, gap: int, side: int) -> Places:
    """Pixels of each mask if it were resized to side x side, each pixel the nearest one's (as Pillow does).

    A row that is taken twice counts twice, one that is left out not at all, and so do columns.
    """
    rows, columns = _taken(height, side), _taken(width, side)
    distance = stride(height, width, gap)
    base = spans.start // distance * distance

    def before(places: Places) -> Places:
        """Pixels of the resized image that come of those before a place."""
        column, row = np.divmod(places - base, height)
        return side * columns[column] + (columns[column + 1] - columns[column]) * rows[row]

    return _of_each(spans, before(spans.end) - before(spans.start), masks, distance)


def _of_each(spans: Spans, values: Places, masks: int, distance: int) -> Places:
    # sums in float64 are exact as long as they are below 2^53
    return np.bincount(spans.start // distance, values, masks).astype(np.int64)


@lru_cache(maxsize=64)
def _taken(length: int, side: int) -> Places:
    """How many of `side` pixels are taken from before each of 0 ... length + 1, by Pillow's own rule."""
    line = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    chosen = np.asarray(line.resize((side, 1), Image.Resampling.NEAREST))[0]
    return np.cumsum(np.bincount(chosen + 1, minlength=length + 2))
