"""What to type to make an image that is read of one that is not."""

from __future__ import annotations

import shlex
from pathlib import Path

GDAL = ("JPEG 2000", "HDF", "netCDF", "NITF", "ERDAS IMAGINE", "FITS")  # made by satellites' ground segments and GIS
HEADS: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes, what begins with them
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x89HDF\r\n", "HDF"),
    (0, b"\x0e\x03\x13\x01", "HDF"),
    (0, b"CDF\x01", "netCDF"),
    (0, b"CDF\x02", "netCDF"),
    (0, b"NITF", "NITF"),
    (0, b"EHFA_HEADER_TAG", "ERDAS IMAGINE"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"GIF8", "GIF"),
    (0, b"8BPS", "Photoshop"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
)


def kind_of(path: Path) -> str | None:
    """What a file that is not read is, by its first bytes; None where they say nothing."""
    with path.open("rb") as file:
        head = file.read(16)
    return next((kind for at, magic, kind in HEADS if head[at:].startswith(magic)), None)


def convert(path: Path, kind: str) -> str:
    """How a file of another kind becomes one that is read."""
    return gdal(path) if kind in GDAL else magick(path)


def gdal(path: Path, *options: str) -> str:
    """A gdal_translate command that writes a TIFF beside the file."""
    return command("gdal_translate", *options, str(path), _beside(path, ".tif"))


def gdal_part(part: str, path: Path) -> str:
    """A gdal_translate command that writes a part of the file, as GDAL names it, to a TIFF beside it."""
    return command("gdal_translate", part, _beside(path, ".tif"))


def magick(path: Path, *options: str) -> str:
    """An ImageMagick command that writes a PNG beside the file."""
    return command("magick", str(path), *options, _beside(path, ".png"))


def command(*words: str) -> str:
    """A command as it is typed."""
    return f"convert it: {shlex.join(words)}"


def _beside(path: Path, suffix: str) -> str:
    """Another file of the same name."""
    target = path.with_suffix(suffix)
    return str(target if target != path else path.with_name(f"{path.stem}_converted{suffix}"))
