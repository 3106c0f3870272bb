"""What an image is: 8-bit RGB, by stated rules, the same for every command.

* An orientation tag (EXIF, TIFF) is applied, each of its eight values.
* Of several pictures in a file the first full-size one counts.
* 8 bits are as they are. Fewer are spread over 0 to 255. More, and floating point, are stretched linearly, one stretch
  for all three bands so that colours keep their proportions, from the 1st to the 99th percentile of the image's own
  values. An image's pixels never depend on another image.
* Grey is repeated, a palette looked up, alpha never blended. Of more bands those count that the file calls red, green
  and blue (bands.py), else the first three; of two the first.
* Pixels without data are 0 and take no part in a stretch: what an alpha band, a mask page, a no-data value or absent
  tiles say. Neither do pixels that are 0 in all shown bands, which are often meant so.

What would need a guess is refused with the command that converts it: CMYK and other colours that need a profile,
complex numbers, other kinds of files (JPEG 2000 ...). The table is in docs/datasets.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import command
from benchmark.data.images.decoding import read_raster
from benchmark.data.images.raster import Raster

STRETCH = (1.0, 99.0)  # percentiles that become 0 and 255
Stretch = tuple[float, float]  # the values that become 0 and 255


class Picture(NamedTuple):
    """pixels: (H, W, 3) RGB. known: (H, W), False where there is no data and pixels are 0; None where all is known.
    orientation: the tag that was applied, 1 where there was nothing to turn. choice: what there is to say of the bands
    that were taken; None where the file has no others, and in this order."""

    pixels: NDArray[np.uint8]
    known: NDArray[np.bool_] | None
    orientation: int
    choice: str | None = None


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB by the rules above. Raises as read_picture()."""
    return read_picture(path).pixels


def read_picture(path: Path) -> Picture:
    """An image by the rules above, with what they decided.

    Raises FileNotFoundError, or SampleError for an image that cannot be read to its last pixel, claims more than
    MAX_PIXELS or has values that are no colours.
    """
    return to_picture(read_raster(path), path)


def to_picture(raster: Raster, path: Path, stretch: Stretch | None = None) -> Picture:
    """What a decoder made of a file, or of a part of it, by the rules above.

    stretch: of the whole that this is a part of, as stretch_of() measures it; None: the stretch is the raster's own.
    Raises SampleError for values that are no colours.
    """
    known = _known(raster)
    pixels = _colours(raster, known, path, stretch)
    if known is None or known.all():
        return Picture(np.ascontiguousarray(pixels), None, raster.orientation, raster.choice)
    return Picture(np.where(known[..., None], pixels, np.uint8(0)), known, raster.orientation, raster.choice)


def stretch_of(raster: Raster, path: Path) -> Stretch | None:
    """The values of a raster that become 0 and 255; None where its values are not stretched. Raises as to_picture()."""
    bands = _values(raster, path)
    if raster.palette is not None or bands.dtype in (np.bool_, np.uint8):
        return None
    return _measured(bands, raster, _known(raster))


def _known(raster: Raster) -> NDArray[np.bool_] | None:
    """What the file says, and of floating point where a shown band has a finite value."""
    if raster.values.dtype.kind != "f":
        return raster.known
    finite: NDArray[np.bool_] = np.isfinite(_shown(raster.values, raster)).any(axis=-1)
    return finite if raster.known is None else finite & raster.known


def _shown(values: NDArray[Any], raster: Raster) -> NDArray[Any]:
    """The bands that are shown, without a copy where they are the first ones in their order."""
    if raster.order is None:
        return values[..., : len(raster.shown)]
    return values[..., list(raster.order)]


def _values(raster: Raster, path: Path) -> NDArray[Any]:
    """(H, W, bands) that are shown, 0 being black. Raises SampleError for values that are no colours."""
    bands = _shown(raster.values, raster)
    if raster.palette is not None:
        return bands
    if bands.dtype.kind not in "buif" or (raster.white_is_zero and bands.dtype.kind in "if"):
        amplitude = command("gdal_translate", f"DERIVED_SUBDATASET:AMPLITUDE:{path}", str(path.with_suffix(".abs.tif")))
        raise SampleError(
            f"image {path} has values of type {bands.dtype}, which are no colours; {amplitude} or make it 8-bit RGB"
        )
    if raster.white_is_zero:
        return ~bands if bands.dtype == np.bool_ else ((1 << raster.bits) - 1) - bands
    return bands


def _colours(raster: Raster, known: NDArray[np.bool_] | None, path: Path, stretch: Stretch | None) -> NDArray[np.uint8]:
    """(H, W, 3), pixels without data not yet 0."""
    bands = _values(raster, path)
    if raster.palette is not None:
        return raster.palette[bands[..., 0]]
    if bands.dtype == np.bool_:
        shades = bands.astype(np.uint8) * 255
    elif bands.dtype == np.uint8:
        shades = bands if raster.bits >= 8 else bands * (255 // ((1 << raster.bits) - 1))
    else:
        shades = _stretched(bands, raster, _measured(bands, raster, known) if stretch is None else stretch)
    return shades if shades.shape[2] == 3 else shades.repeat(3, axis=-1)


def _valid(bands: NDArray[Any], raster: Raster) -> NDArray[np.bool_] | None:
    """(H, W, bands): False for a value that is not valid, or not finite; it takes no part in a stretch and is 0."""
    valid = None if raster.valid is None else _shown(raster.valid, raster)
    if bands.dtype.kind != "f":
        return valid
    finite = np.isfinite(bands)
    return finite if valid is None else valid & finite


def _measured(bands: NDArray[Any], raster: Raster, known: NDArray[np.bool_] | None) -> Stretch:
    """One stretch for all bands, of the pixels that are known and not 0 in all of them."""
    used: NDArray[np.bool_] = np.asarray(bands.any(axis=-1))
    used = used if known is None else used & known
    valid = _valid(bands, raster)
    values = bands[used] if valid is None else bands[used][valid[used]]
    if not values.size:
        return 0.0, 0.0
    if bands.dtype == np.uint16:
        reached = np.cumsum(np.bincount(values.ravel(), minlength=1 << 16))
        low, high = np.searchsorted(reached, np.array(STRETCH) / 100 * values.size)
        return float(low), float(high)
    return _percentiles(values.ravel())


def _stretched(bands: NDArray[Any], raster: Raster, stretch: Stretch) -> NDArray[np.uint8]:
    """(H, W, bands) by one stretch."""
    low, high = stretch
    valid = _valid(bands, raster)
    if bands.dtype == np.uint16:
        levels = (np.arange(1 << 16) - low) / max(high - low, 1)
        table: NDArray[np.uint8] = np.round(levels.clip(0, 1) * 255).astype(np.uint8)
        shades = table[bands]
    else:
        shades = np.zeros(bands.shape, np.uint8)
        for band in range(bands.shape[2]):  # one by one: in floating point they take eight times the memory
            part = np.nan_to_num(bands[..., band].astype(np.float64), nan=low, posinf=high, neginf=low)
            part = (part - low) / ((high - low) or 1.0)
            shades[..., band] = np.round(part.clip(0, 1) * 255)
    return shades if valid is None else np.where(valid, shades, np.uint8(0))


def _percentiles(values: NDArray[Any]) -> Stretch:
    """The smallest values that STRETCH percent of all reach, as of 16 bits."""
    places = [max(math.ceil(percent / 100 * values.size) - 1, 0) for percent in STRETCH]
    parted = np.partition(values, places)
    return float(parted[places[0]]), float(parted[places[1]])
