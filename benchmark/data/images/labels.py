"""A file of class labels: each pixel's value or colour, kept as it is. Nothing is stretched, scaled or blended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import gdal
from benchmark.data.images.masks import read_object
from benchmark.data.images.raster import AS_STORED

NO_COLOUR = -1
NO_LABEL = np.iinfo(np.int64).min  # of what is no finite number


@dataclass(frozen=True, eq=False)
class LabelImage:
    """colours: (H, W) int32, 0xRRGGBB as the file is seen; the grey v of one band is 0xvvvvvv, NO_COLOUR above 255.
    values: (H, W) of the one band, or indices into the palette, as stored; None for a file in colour. known: (H, W)
    bool, False where the file says that there are no data (transparent, masked, its no-data value); None: nowhere.
    orientation: the tag by which all were turned."""

    colours: NDArray[np.int32]
    values: NDArray[Any] | None
    known: NDArray[np.bool_] | None = None
    orientation: int = AS_STORED


def read_labels(path: Path) -> LabelImage:
    """The labels of a file of one band of any depth, with a palette or without, or of 8-bit RGB.

    Raises as read_image(), and SampleError for other bands, for colours of more than 8 bits and for fractions.
    """
    raster = read_object(path)
    bands = raster.values
    rest = raster.known, raster.orientation
    if raster.palette is not None:
        return LabelImage(_packed(raster.palette)[bands[..., 0]], bands[..., 0], *rest)
    if bands.shape[2] == 1:
        values = _whole(bands[..., 0], path)
        if raster.bits < 8:
            grey = values.astype(np.int32) * (255 // ((1 << raster.bits) - 1))
        else:
            grey = np.where((values >= 0) & (values <= 255), values, 0).astype(np.int32)
        colours: NDArray[np.int32] = grey * np.int32(0x010101)
        colours[(values < 0) | (values > 255)] = NO_COLOUR
        return LabelImage(colours, values, *rest)
    if bands.shape[2] != 3 or bands.dtype != np.uint8:
        raise SampleError(
            f"mask {path} has {bands.shape[2]} bands of type {bands.dtype}; labels are one band of whole numbers, or "
            f"8-bit RGB: keep the band with the labels, {gdal(path, '-b', '1')}"
        )
    equal = bool((bands == bands[..., :1]).all())
    return LabelImage(_packed(bands), bands[..., 0] if equal else None, *rest)


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(..., 3) -> 0xRRGGBB."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    packed: NDArray[np.int32] = (red << 16) | (green << 8) | blue
    return packed


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Labels in floating point as whole numbers; what is not finite is NO_LABEL."""
    if values.dtype.kind in "bui":
        return values.astype(np.uint8) if values.dtype == np.bool_ else values
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        found = np.where(finite, values, -1)
        if (np.abs(found) < 2**53).all() and (found == np.floor(found)).all():
            return np.where(finite, found.astype(np.int64), NO_LABEL)
    raise SampleError(
        f"mask {path} has values of type {values.dtype} that are no whole numbers; labels are: give each class a whole "
        "number and save it as integers"
    )
