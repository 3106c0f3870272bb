"""What a decoder makes of a file: its values as they are stored, and what the file says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.errors import SampleError

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB
MAX_BYTES = 8 * MAX_PIXELS  # four bands of 16 bits

AS_STORED = 1
ORIENTATIONS = range(1, 9)  # EXIF 2.3, tag 274, the same numbers in TIFF


@dataclass(frozen=True, eq=False)
class Raster:
    """A file's first full-size picture, turned as its orientation tag says.

    values: (H, W, bands) in the file's own type, without an alpha band. bits: of a sample, as stored: 4-bit values are
    0 to 15 here. known: (H, W), False where the file says that there is no data; None where it says nothing. valid:
    (H, W, bands), False where a band's value is the file's no-data value, None without one. palette: (n, 3) uint8
    colours that the values of the one band stand for. order: of the bands, which are red, green and blue, where the
    file says so. orientation: the tag's value, 1 for none. white_is_zero: whether 0 is white, not black. choice: what
    there is to say of the bands that are shown (bands.py).
    """

    values: NDArray[Any]
    bits: int
    known: NDArray[np.bool_] | None = None
    valid: NDArray[np.bool_] | None = None
    palette: NDArray[np.uint8] | None = None
    order: tuple[int, int, int] | None = None
    orientation: int = AS_STORED
    white_is_zero: bool = False
    choice: str | None = None

    @property
    def shown(self) -> tuple[int, ...]:
        """The bands that are shown: red, green and blue as the file says, else the first three; of two the first."""
        if self.order is not None:
            return self.order
        return (0, 1, 2) if self.values.shape[2] >= 3 else (0,)


def turn(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, ...) as stored -> as it is to be seen, by the eight values of the orientation tag."""
    if orientation in (2, 3):
        values = values[:, ::-1]
    if orientation in (3, 4):
        values = values[::-1]
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (6, 7):
        values = values[:, ::-1]
    if orientation in (7, 8):
        values = values[::-1]
    return values


def differing(values: NDArray[Any], nodata: float) -> NDArray[np.bool_] | None:
    """Where values are not the no-data value that a file declares; None where they could not have it."""
    if values.dtype.kind == "c":
        return None
    values = values.view(np.uint8) if values.dtype == np.bool_ else values
    if math.isnan(nodata):
        return ~np.isnan(values) if values.dtype.kind == "f" else None
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found: NDArray[np.bool_] = values != np.asarray(nodata).astype(values.dtype)
        return found
    limits = np.iinfo(values.dtype)
    if not nodata.is_integer() or not limits.min <= nodata <= limits.max:
        return None
    different: NDArray[np.bool_] = values != int(nodata)
    return different


def check_size(path: Path, width: int, height: int) -> None:
    """Raise SampleError before memory is taken for a picture that is never read."""
    if width * height > MAX_PIXELS:
        raise SampleError(
            f"image {path} says it is {width} x {height} pixels, more than the {MAX_PIXELS:,} that are read; "
            "fetch it as a scene (kind: geo, docs/datasets.md), cut it into tiles, or leave it out"
        )


def check_orientation(path: Path, value: object) -> int:
    """The orientation tag's value, as cameras and TIFF write it; 0 and None are none.

    Raises SampleError for a value that means nothing.
    """
    if value in (None, 0):
        return AS_STORED
    if not isinstance(value, int) or value not in ORIENTATIONS:
        raise SampleError(
            f"image {path} has orientation tag {value!r}, and only 1 to 8 say how to turn a picture; "
            "set it right (exiftool -n -Orientation=1) or leave the image out"
        )
    return value
