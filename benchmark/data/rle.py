"""Masks as COCO run-length codes, and back.

pycocotools encodes. Decoding is done here, once for every reader: pycocotools believes a code, and one that fills less
than its mask leaves the rest of the memory as it was. This way is safe with untrusted codes, and takes half the time.
Most readers need no pixels: spans.py measures what the codes of many masks say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmark.data.errors import brief

MAX_DIGITS = 7  # of one number, five bits each: more than any image has pixels
TOGETHER = 1 << 16  # characters of codes that are read at once: what is made of them stays in a processor's cache


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """(H, W) bool -> the counts of COCO's compressed RLE."""
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"mask is {mask.dtype} of shape {mask.shape}; give an (H, W) bool array")
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def decode_mask(counts: str, height: int, width: int) -> NDArray[np.bool_]:
    """The counts of COCO's compressed RLE -> (height, width) bool.

    Raises ValueError if they are none, or do not fill exactly that size.
    """
    return fill_mask(run_lengths(counts), height, width)


def run_lengths(counts: str) -> NDArray[np.int64]:
    """COCO's compressed counts -> pixels of background, mask, background, ... down the columns; some may be 0.

    Raises:
        ValueError: it is no such code.
    """
    return many_run_lengths([counts])[0]


def many_run_lengths(codes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`run_lengths` of one code or more, one behind the other, and how many each has.

    They are read all at once: of a small mask, calls take longer than numbers. A number is written in digits of 5 bits,
    lowest first, 32 added where another follows; from the fourth number of a code on it is the difference to the one
    two places before (pycocotools' rleFrString).

    Raises:
        ValueError: one is no such code; the first is named.
    """
    sizes = np.fromiter(map(len, codes), np.int64, len(codes))
    text = "".join(codes)
    if not text.isascii() or not sizes.all():
        raise _fault(codes)
    digits = np.frombuffer(text.encode(), np.uint8) - np.uint8(48)  # what lies below 48 is above 63 then
    ends, last = np.flatnonzero(digits < 32), np.cumsum(sizes) - 1
    lengths = np.diff(ends, prepend=-1)
    if digits.max() > 63 or digits[last].max() > 31 or lengths.max() > MAX_DIGITS:
        raise _fault(codes)
    starts = ends - lengths + 1
    numbers = (digits[starts] & 31).astype(np.int64)
    for place in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] |= (digits[starts[longer] + place] & 31).astype(np.int64) << (5 * place)
    negative = np.flatnonzero(digits[ends] & 16)
    numbers[negative] -= np.int64(1) << (5 * lengths[negative])
    many = np.diff(np.searchsorted(ends, last, side="right"), prepend=0)
    _add_differences(numbers, many)
    if (below := numbers[numbers < 0]).size:
        raise _fault(codes, f"has a run of {below[0]} pixels")
    return numbers, many


def _add_differences(numbers: NDArray[np.int64], many: NDArray[np.int64]) -> None:
    """Sum every other number of a code, in place; its first three are no differences, so sums begin anew at them."""
    first = np.cumsum(many) - many
    anew = np.sort(np.concatenate([first, first[many > 1] + 1, first[many > 2] + 2]))
    for parity in (0, 1):
        some, begins = numbers[parity::2], anew[anew % 2 == parity] // 2
        sums = np.cumsum(some)
        some[:] = sums - np.repeat(sums[begins] - some[begins], np.diff(begins, append=len(some)))


def _fault(codes: Sequence[str], what: str = "is no compressed run-length code") -> ValueError:
    """What is wrong with a code; of several, raise it of the first that is none by itself."""
    for code in codes if len(codes) > 1 else ():
        many_run_lengths([code])
    return ValueError(f"mask {brief(codes[0])!r} {what}")


def areas(codes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each of N codes: how many pixels it is of, and how many of them the mask has. Raises as `many_run_lengths`."""
    found = [np.zeros((2, 0), np.int64)]
    for part in together([len(code) for code in codes]):
        numbers, many = many_run_lengths(codes[part])
        first = np.cumsum(many) - many
        masked = np.where((np.arange(len(numbers)) - np.repeat(first, many)) % 2 == 1, numbers, 0)
        found.append(np.stack([np.add.reduceat(numbers, first), np.add.reduceat(masked, first)]))
    pixels, area = np.concatenate(found, axis=1)
    return pixels, area


def together(sizes: Sequence[int]) -> Iterator[slice]:
    """Which of some things of these sizes go together: as many in a row as have TOGETHER in all, one at least."""
    begin, total = 0, 0
    for place, size in enumerate(sizes):
        if place > begin and total + size > TOGETHER:
            yield slice(begin, place)
            begin, total = place, 0
        total += size
    if len(sizes):
        yield slice(begin, len(sizes))


def fill_mask(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """Runs of background, mask, background, ... down the columns -> (height, width) bool.

    Raises ValueError, before memory is taken, if they do not fill exactly that size.
    """
    check_size(runs, height, width)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def check_size(runs: NDArray[np.int64], height: int, width: int) -> None:
    """Raise ValueError unless the runs of a mask fill exactly height x width pixels."""
    pixels = height * width
    if (runs > pixels).any() or runs.sum() != pixels:  # the first, so that the sum cannot overflow
        raise ValueError(f"its runs cover {sum(runs.tolist())} of {pixels} pixels, {height}x{width} (height x width)")


def mask_bbox(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the pixels of an (H, W) mask, right and bottom exclusive; zeros for an empty one."""
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
