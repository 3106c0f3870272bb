"""A mask file that holds one object: leniently, as the field's datasets have them, or exactly, as submissions must.

An alpha channel says nothing about the object; a palette is looked up; an orientation tag is applied, as to images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import gdal
from benchmark.data.images.decoding import read_raster
from benchmark.data.images.raster import Raster


def read_mask(path: Path) -> tuple[NDArray[np.bool_], int]:
    """(H, W) bool of a mask file, and how many different values the file has (2: clean).

    The object is what lies above half of the file's largest value: 0/1, 0/255 and 0/128 with or without softened
    borders read alike, at any depth; nothing but 0 is an empty mask. Values that the file declares to be no data, and
    NaN beside an object, are 0. Raises as read_image(), and SampleError for values of which none is above 0 where some
    are below it or no number.
    """
    raster = read_object(path)
    bands = raster.palette[raster.values[..., 0]] if raster.palette is not None else raster.values
    if bands.shape[2] in (2, 4):
        bands = bands[..., :-1]  # an alpha channel that is not called so
    if raster.valid is not None and raster.palette is None:
        bands = np.where(raster.valid[..., : bands.shape[2]], bands, bands.dtype.type(0))
    values = _numbers(bands.max(axis=-1), path)
    seen = raster.known is None or bool(raster.known.all()) or raster.valid is not None
    if not seen and values.min() == values.max():
        raise SampleError(
            f"mask {path} has nothing but {values.max()} and is transparent in part; if the object is in the alpha "
            f"band, keep that: {gdal(path, '-b', 'mask')}"
        )
    if values.dtype == np.bool_:
        return values, len(np.unique(values))
    return values > values.max() / 2, len(np.unique(values))


def _numbers(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """A mask's values, 0 for NaN. Raises SampleError for those that could mean no object or any."""
    odd = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    numbers = np.where(np.isnan(values), values.dtype.type(0), values) if odd.any() else values
    if np.isinf(numbers).any() or (numbers.max() <= 0 and (odd.any() or numbers.min() < 0)):
        found = np.unique(values)  # NaN last, once
        named = ", ".join(f"{value:g}" for value in found[:5].tolist()) + " ..." * (found.size > 5)
        raise SampleError(
            f"mask {path} has the values {named}: which is the object? What lies above half of the largest value is "
            "read as the object, and 0 as what is not: save it as 0 and 255"
        )
    return numbers


def read_exact_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool of a mask that has 0 and one other value: grey, or black and one other colour.

    Raises SampleError for every other file: what is meant by it would be a guess, and a wrong one a wrong number.
    """
    raster = read_object(path)
    bands = raster.palette[raster.values[..., 0]] if raster.palette is not None else raster.values
    if bands.dtype.kind not in "bui":
        raise SampleError(f"mask {path} has values of type {bands.dtype}; {ASKED}")
    mask: NDArray[np.bool_] = np.asarray(bands.any(axis=-1))
    others = bands[mask]  # (n, bands)
    different = (others != others[:1]).any(axis=-1)
    if different.any():
        values = sorted([others[0].tolist(), others[int(different.argmax())].tolist()])
        found = " and ".join(map(_plain, values)) + (" besides 0" if not mask.all() else " and no 0")
        raise SampleError(f"mask {path} has the values {found}; {ASKED}")
    whole = 1 if bands.dtype == np.bool_ else (1 << raster.bits) - 1
    if mask.all() and not set(others[0].tolist()) <= {0, 1, whole}:
        raise SampleError(f"mask {path} has nothing but {_plain(others[0].tolist())}: everything, or nothing? {ASKED}")
    if raster.known is not None and not raster.known.all() and (raster.known != mask).any():
        raise SampleError(f"mask {path} is transparent elsewhere than it is 0; {ASKED}")
    return mask


ASKED = "a mask has 0 and one other value (a palette's colours count): save it as 0 and 255"


def read_object(path: Path) -> Raster:
    """A mask file as it is stored. Raises SampleError, as well, for a TIFF whose 0 is white."""
    raster = read_raster(path, "mask")
    if raster.white_is_zero:
        raise SampleError(
            f"mask {path} is a TIFF of kind MINISWHITE, whose 0 is white: object or not? "
            f"{gdal(path, '-co', 'PHOTOMETRIC=MINISBLACK')}"
        )
    return raster


def _plain(values: list[int]) -> str:
    return str(int(values[0])) if len(set(values)) == 1 else str(tuple(values))
