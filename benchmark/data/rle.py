"""Masks as COCO run-length codes, and back.

pycocotools encodes. Decoding is done here, once for every reader: pycocotools believes a code, and one that fills less
than its mask leaves the rest of the memory as it was. This way is safe with untrusted codes, and takes half the time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmark.data.errors import brief

MAX_DIGITS = 7  # of one number, five bits each: more than any image has pixels


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

    A number is written in digits of 5 bits, lowest first, 32 added where another follows; from the fourth number on it
    is the difference to the one two places before (pycocotools' rleFrString).

    Raises:
        ValueError: it is no such code.
    """
    fault = f"mask {brief(counts)!r} is no compressed run-length code"
    if not counts.isascii():
        raise ValueError(fault)
    codes = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes < 32)
    digits = np.diff(ends, prepend=-1)
    if not len(ends) or codes.min() < 0 or codes.max() > 63 or ends[-1] + 1 != len(codes) or digits.max() > MAX_DIGITS:
        raise ValueError(fault)
    starts = ends - digits + 1
    place = np.arange(len(codes)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = (codes[ends] & 16) != 0
    numbers[negative] -= 1 << (5 * digits[negative])
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    if (below := numbers[numbers < 0]).size:
        raise ValueError(f"mask {brief(counts)!r} has a run of {below[0]} pixels")
    return numbers


def fill_mask(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """Runs of background, mask, background, ... down the columns -> (height, width) bool.

    Raises ValueError, before memory is taken, if they do not fill exactly that size.
    """
    pixels = height * width
    if (runs > pixels).any() or runs.sum() != pixels:  # the first, so that the sum cannot overflow
        raise ValueError(f"its runs cover {sum(runs.tolist())} of {pixels} pixels, {height}x{width} (height x width)")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def mask_bbox(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the pixels of an (H, W) mask, right and bottom exclusive; zeros for an empty one."""
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
