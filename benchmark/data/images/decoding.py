"""From a file to a Raster: by the decoder that its first bytes ask for, with errors that say what to do."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import gdal
from benchmark.data.images.png_jpeg import read_plain
from benchmark.data.images.raster import Raster
from benchmark.data.images.side_files import Beside, read_beside
from benchmark.data.images.tiff_files import TiffFacts, is_tiff, read_facts, read_tiff

BROKEN = (  # what decoders raise for broken files; imagecodecs' own errors are RuntimeErrors
    *(OSError, ValueError, RuntimeError, KeyError, IndexError, struct.error),
    SyntaxError,  # Pillow, for some PNG chunks
    *(TypeError, ArithmeticError),  # tifffile, which computes with tags whatever they hold
)
_read: ContextVar[Path | None] = ContextVar("_read", default=None)  # the file that is being read


class _WithName(logging.Filter):
    """Puts the file's name before what tifffile has to say of it, which has none. What it says of the no-data value
    is left out: it asks whether the bands can have it, and tiff_files.py does so itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        path, said = _read.get(), record.getMessage()
        if path is not None:
            record.msg, record.args = f"{path}: {said}", None
        return path is None or "parsing GDAL_NODATA" not in said


logging.getLogger("tifffile").addFilter(_WithName())


def read_raster(path: Path, what: str = "image") -> Raster:
    """The first full-size picture of a file, turned as it says. what: the word for it in errors.

    Raises FileNotFoundError, or SampleError for a file that cannot be read to its last pixel, claims too much, or is of
    a kind that is not read.
    """
    with _clear_errors(path, what):
        beside = read_beside(path)
        _check_beside(path, beside, what)
        return read_tiff(path, beside) if is_tiff(path) else read_plain(path)


def tiff_facts(path: Path) -> TiffFacts | None:
    """What a TIFF says of its picture, none of which is decoded; None of another kind of file.

    Raises FileNotFoundError, or SampleError for a broken one.
    """
    with _clear_errors(path, "image"):
        return read_facts(path) if is_tiff(path) else None


def _check_beside(path: Path, beside: Beside, what: str) -> None:
    """Raise SampleError where GDAL would read pixels otherwise for what lies beside the image."""
    if os.path.isfile(path.with_name(f"{path.name}.msk")):
        command = gdal(path, "--config", "GDAL_TIFF_INTERNAL_MASK", "YES")
        raise SampleError(
            f"image {path} has its mask of no data in a file beside it, {path.name}.msk; lay both into one, {command}"
        )
    colours = beside.palette and what == "image"  # labels are what they are, whatever they are shown as
    if beside.nodata or colours:
        raise SampleError(
            f"image {path} has its {'no-data value' if beside.nodata else 'palette'} in a file beside it, "
            f"{path.name}.aux.xml; lay both into one, {gdal(path)}"
        )


@contextmanager
def _clear_errors(path: Path, what: str) -> Iterator[None]:
    """What the decoders raise, said in one line with what to do."""
    if os.path.isdir(path):
        raise FileNotFoundError(f"{what} {path} is a folder; give a file")
    if not os.path.isfile(path):  # False, where Path.is_file() fails for a name of 300 letters
        raise FileNotFoundError(f"{what} {path} does not exist")
    token = _read.set(path)
    try:
        yield
    except Image.DecompressionBombError as error:
        raise SampleError(f"{what} {path} is refused before it is decoded: {error}; cut it into tiles") from error
    except SampleError as error:
        if what == "image" or not str(error).startswith(f"image {path}"):
            raise
        raise SampleError(f"{what}{str(error).removeprefix('image')}") from error
    except UnidentifiedImageError as error:
        raise SampleError(
            f"{what} {path} is no PNG, JPEG, WebP, BMP or TIFF; convert it to one, or fetch it again"
        ) from error
    except BROKEN as error:
        raise SampleError(
            f"{what} {path} cannot be read to its end ({error}); it is truncated or no image: fetch it again"
        ) from error
    finally:
        _read.reset(token)
