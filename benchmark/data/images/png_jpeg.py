"""PNG, JPEG, WebP and BMP: decoded by Pillow, PNG without a palette by imagecodecs.

Of a file with several pictures (a drone's MPO with its previews, an animation) the first is read. Alpha, and the colour
or palette entries that a PNG calls transparent, say where there is no data.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import convert, kind_of, magick
from benchmark.data.images.raster import Raster, check_orientation, check_size, turn

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # whatever a file is called: for EPS Pillow would start Ghostscript
ORIENTATION = 274
BITS = {"1": 1, "L;2": 2, "L;4": 4}  # of a sample of a PNG, where they are fewer than 8, by Pillow's word for it
MODES = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "RGBX": "RGB"}  # of others: Pillow's -> bands


def read_plain(path: Path) -> Raster:
    """The first picture of a PNG, JPEG, WebP or BMP.

    Raises SampleError for another kind of file and for ink (CMYK), with the command that converts it; what Pillow and
    imagecodecs raise for a broken one.
    """
    with _opened(path) as image:
        content = path.read_bytes() if image.format == "PNG" else b""
        exif = _png_exif(content) if content else image.info.get("exif")
        orientation = check_orientation(path, _said(exif))
        if image.mode in ("P", "PA"):
            return _from_palette(image, orientation)
        if content:  # Pillow cuts 16-bit colours to 8 bits, and takes longer
            return _from_bands(imagecodecs.png_decode(content), BITS.get(_raw_mode(image), 0), orientation)
        if image.mode not in MODES:
            raise SampleError(
                f"image {path} has colours of kind {image.mode}, which become RGB by a profile only; make it 8-bit "
                f"RGB: {magick(path, '-colorspace', 'sRGB', '-type', 'TrueColor')}"
            )
        return _from_bands(np.array(image.convert(MODES[image.mode])), int(image.mode == "1"), orientation)


def _png_exif(content: bytes) -> bytes | None:
    """The EXIF of a PNG, wherever in the file it stands: Pillow decodes the whole image to look behind the pixels."""
    at = len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if kind == b"eXIf":
            return b"Exif\0\0" + content[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _said(exif: object) -> object:
    """The orientation that EXIF bytes say, unchecked; None for none. Broken EXIF says nothing, as viewers have it."""
    if not isinstance(exif, bytes):
        return None
    tags = Image.Exif()
    try:
        tags.load(exif)
        return tags.get(ORIENTATION)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OSError, struct.error):
        return None


def _from_bands(values: NDArray[Any], bits: int, orientation: int) -> Raster:
    """Of (H, W), or (H, W, bands) of which the last of two or four is alpha. bits: those of a sample, if fewer than 8;
    the values have been scaled to 8 then, and are scaled back."""
    bands = turn(values[..., None] if values.ndim == 2 else values, orientation)
    known = None
    if bands.shape[2] in (2, 4):
        bands, known = bands[..., :-1], bands[..., -1] > 0
    if bits:
        bands = bands // (255 // ((1 << bits) - 1))
    return Raster(bands, bits or bands.dtype.itemsize * 8, known, orientation=orientation)


def _from_palette(image: Image.Image, orientation: int) -> Raster:
    """Of indices into a palette, some of whose entries may be transparent."""
    indices = turn(np.array(image), orientation)
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    clear = image.info.get("transparency")
    if clear is None:
        return Raster(indices[..., None], 8, palette=palette, orientation=orientation)
    alphas = np.full(256, 255, np.uint8)
    if isinstance(clear, bytes):
        alphas[: len(clear)] = np.frombuffer(clear, np.uint8)
    else:
        alphas[int(clear)] = 0
    return Raster(indices[..., None], 8, alphas[indices] > 0, palette=palette, orientation=orientation)


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's words; "" where it does not say."""
    tiles = getattr(image, "tile", [])
    mode = tiles[0][3] if tiles else ""
    return str(mode[0] if isinstance(mode, tuple) else mode)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused here, before anything is decoded
        try:
            opened = Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            if (kind := kind_of(path)) is None:
                raise
            raise SampleError(
                f"image {path} is {kind}, and PNG, JPEG, WebP, BMP and TIFF are read; {convert(path, kind)}"
            ) from None
        with opened as image:
            check_size(path, image.width, image.height)
            yield image
