"""Masks as COCO run-length codes, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """(H, W) bool -> the counts of COCO's compressed RLE."""
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"mask is {mask.dtype} of shape {mask.shape}; give an (H, W) bool array")
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def decode_mask(counts: str, height: int, width: int) -> NDArray[np.bool_]:
    """The counts of COCO's compressed RLE -> (height, width) bool.

    Raises ValueError if they do not fill exactly that size.
    """
    try:
        pixels = coco.decode({"size": [height, width], "counts": counts.encode("ascii")})
    except (ValueError, UnicodeEncodeError) as error:
        raise ValueError(f"mask '{counts[:40]}' is no run-length code of {height}x{width} pixels: {error}") from error
    # too few counts leave the decoder's memory as it was; encoding fills the size, so it agrees only if they did
    if coco.encode(pixels)["counts"].decode("ascii") != counts:
        raise ValueError(f"mask '{counts[:40]}' does not fill {height}x{width} pixels; encode it with encode_mask()")
    return pixels.astype(bool)


def mask_bbox(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the pixels of an (H, W) mask, right and bottom exclusive; zeros for an empty one."""
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
