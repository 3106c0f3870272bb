"""Reading images and masks from disk, by stated rules, whatever wrote them.

Every file becomes 8-bit RGB:
* grey is repeated, a palette is looked up, an alpha channel is left out (never blended);
* TIFF with four bands or more: the first three, in the file's order; further bands are left out;
* 16-bit TIFF, and grey 16-bit PNG: stretched linearly, one stretch for all three bands so that colours keep their
  proportions, from the 1st to the 99th percentile of the image's own values (pixels that are 0 in all bands are no data
  and do not count). An image's pixels never depend on another image;
* of a TIFF with several pages the first.
What would need a guess is refused: floating point, 32-bit integers, complex numbers, 16-bit PNG in colour.

A mask file holds one object: its pixels are those above half of the file's largest value (0/1, 0/255 and 0/128 with or
without softened borders read alike; nothing but 0 is an empty mask).

No file is decoded that declares more than MAX_PIXELS, or MAX_BYTES over all its bands: a few kilobytes can claim
terabytes. Only the kinds of FORMATS and TIFF are opened, whatever a file is called: for others Pillow starts programs
(Ghostscript for EPS).
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmark.data.errors import SampleError

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB
MAX_BYTES = 8 * MAX_PIXELS  # four bands of 16 bits
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # by Pillow; TIFF by tifffile
STRETCH = (1.0, 99.0)  # percentiles that become 0 and 255
_P = tifffile.PHOTOMETRIC
COLOURS = (_P.MINISBLACK, _P.RGB, _P.PALETTE, _P.YCBCR)  # kinds of TIFF in which 0 is dark and bands are colours
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # little and big endian, classic and BigTIFF


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB by the rules above.

    Raises FileNotFoundError, or SampleError for an image that cannot be read to its last pixel, claims more than
    MAX_PIXELS or has values that are no colours.
    """
    with _clear_errors(path):
        if _is_tiff(path):
            return _rgb(_read_tiff(path), path)
        with _opened(path) as image:
            raw_mode = _raw_mode(image)
            if image.mode.startswith("I;16"):
                return _rgb(np.array(image), path)
            if image.mode in ("I", "F") or ";16" in raw_mode:  # Pillow cuts 16-bit colours to 8 bits silently
                raise SampleError(
                    f"image {path} has {image.mode} values of more than 8 bits; save it as 8-bit, or as 16-bit TIFF"
                )
            if image.format == "PNG" and raw_mode in ("L", "LA", "RGB", "RGBA"):
                return _rgb(imagecodecs.png_decode(path.read_bytes()), path)  # the same pixels in 60 % of the time
            return np.array(image.convert("RGB"))


def read_mask(path: Path) -> tuple[NDArray[np.bool_], int]:
    """(H, W) bool of a mask file, and how many different values the file has (2: clean).

    Raises as read_image().
    """
    with _clear_errors(path, "mask"):
        if _is_tiff(path):
            values = _read_tiff(path)
        else:
            with _opened(path) as image:
                colours = image.convert("RGB") if image.mode == "P" else image
                values = np.array(colours)
        if values.ndim == 3:
            bands = values.shape[2] - (values.shape[2] in (2, 4))  # an alpha channel says nothing about the object
            values = values[..., :bands].max(axis=-1)
    if values.dtype == np.bool_:
        return values, len(np.unique(values))
    return values > values.max() / 2, len(np.unique(values))


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_MAGIC


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's words; "" where it does not say."""
    tiles = getattr(image, "tile", [])
    return str(tiles[0][3]) if tiles else ""


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused here, before anything is decoded
        with Image.open(path, formats=FORMATS) as image:
            _check_size(path, image.width, image.height)
            yield image


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise SampleError(
            f"image {path} says it is {width} x {height} pixels, more than the {MAX_PIXELS:,} that are read; "
            "cut it into tiles, or leave it out"
        )


def _read_tiff(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, bands) of the first page, in the file's own type; a palette is looked up."""
    size = path.stat().st_size
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        _check_size(path, page.imagewidth, page.imagelength)
        if page.is_tiled:
            _check_size(path, page.tilewidth, page.tilelength)
        if page.nbytes > MAX_BYTES:
            raise SampleError(
                f"image {path} says it has {page.samplesperpixel:,} bands and {page.nbytes:,} bytes, more than the "
                f"{MAX_BYTES:,} that are read; cut it into tiles, or keep its first three bands"
            )
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if max(ends, default=0) > size:
            raise SampleError(
                f"image {path} ends after {size:,} of {max(ends):,} bytes; it is truncated: fetch it anew"
            )
        if page.photometric not in COLOURS:
            raise SampleError(
                f"image {path} is a TIFF of kind {_P(page.photometric).name}; save it as grey, RGB or palette"
            )
        if page.axes not in ("YX", "YXS", "SYX"):
            raise SampleError(f"image {path} is a TIFF with axes {page.axes}; give one image of rows, columns, bands")
        values = page.asarray()
        if page.photometric == _P.PALETTE:
            return (np.moveaxis(np.asarray(page.colormap), 0, -1)[values] >> 8).astype(np.uint8)
        return np.moveaxis(values, 0, -1) if page.axes == "SYX" else values


def _rgb(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """8-bit RGB of (H, W) or (H, W, bands)."""
    bands = values[..., None] if values.ndim == 2 else values
    bands = bands[..., :3] if bands.shape[2] >= 3 else bands[..., :1].repeat(3, axis=-1)
    if bands.dtype == np.bool_:
        return bands.astype(np.uint8) * 255
    if bands.dtype == np.uint8:
        return np.ascontiguousarray(bands)
    if bands.dtype != np.uint16:
        raise SampleError(
            f"image {path} has values of type {bands.dtype}; save it as unsigned integers of 8 or 16 bits"
        )
    known = bands[bands.any(axis=-1)]
    reached = np.cumsum(np.bincount(known.ravel(), minlength=1 << 16))
    low, high = np.searchsorted(reached, np.array(STRETCH) / 100 * known.size)
    levels = (np.arange(1 << 16) - low) / max(high - low, 1)
    shades: NDArray[np.uint8] = np.round(levels.clip(0, 1) * 255).astype(np.uint8)
    return shades[bands]


@contextmanager
def _clear_errors(path: Path, what: str = "image") -> Iterator[None]:
    """What the decoders raise, said in one line with what to do."""
    if not os.path.isfile(path):  # False, where Path.is_file() fails for a name of 300 letters
        raise FileNotFoundError(f"{what} {path} does not exist")
    try:
        yield
    except Image.DecompressionBombError as error:
        raise SampleError(f"{what} {path} is refused before it is decoded: {error}; cut it into tiles") from error
    except SampleError:
        raise
    except UnidentifiedImageError as error:
        raise SampleError(
            f"{what} {path} cannot be read to its end: it is no PNG, JPEG, WebP, BMP or TIFF; fetch it again"
        ) from error
    # Pillow raises SyntaxError for some broken PNG chunks; imagecodecs' errors are RuntimeErrors
    except (OSError, SyntaxError, ValueError, RuntimeError, struct.error, KeyError, IndexError) as error:
        raise SampleError(
            f"{what} {path} cannot be read to its end ({error}); it is truncated or no image: fetch it again"
        ) from error
