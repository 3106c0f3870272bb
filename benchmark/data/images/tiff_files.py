"""TIFF of every kind that GIS and cameras write, decoded by tifffile.

The picture is the first page that is neither a smaller copy (an overview) nor a mask. What has no data is said by an
alpha band, by a mask page, by GDAL's no-data value (where all shown bands have it), or by tiles that are not in the
file; these together. Nothing of a file is decoded that declares more than it may.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmark.data.errors import SampleError, brief
from benchmark.data.images.advice import gdal, gdal_part, magick
from benchmark.data.images.bands import RGB, bands_of, choice
from benchmark.data.images.raster import AS_STORED, MAX_BYTES, Raster, check_orientation, check_size, differing, turn
from benchmark.data.images.side_files import NOTHING, Beside

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # little and big endian, classic and BigTIFF
_P = tifffile.PHOTOMETRIC
COLOURS = (_P.MINISWHITE, _P.MINISBLACK, _P.RGB, _P.PALETTE, _P.YCBCR)  # kinds that are grey or RGB without a profile
JPEG = (6, 7, 34892)  # compressions whose decoder makes RGB of YCbCr
REDUCED, MASK = 1, 4  # bits of NewSubfileType
OLD_SUBFILE, OLD_REDUCED = 255, 2  # SubfileType, before TIFF 6
ORIENTATION, COLOUR_MAP, GDAL_METADATA, GDAL_NODATA = 274, 320, 42112, 42113
GEOREFERENCE = (33550, 33922, 34264)  # ModelPixelScale, ModelTiepoint, ModelTransformation
NAN = re.compile(r"[+-]?1\.#(IND|QNAN|SNAN|NAN)0*", re.IGNORECASE)  # as older programs of Windows write it
PAGES = 64  # looked at for the picture and its mask
ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_ITEM = re.compile(r'<Item\s[^>]*sample="(\d+)"[^>]*role="(colorinterp|description)"[^>]*>([^<]*)<')


def is_tiff(path: Path) -> bool:
    """By its first bytes, whatever it is called."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


class TiffFacts(NamedTuple):
    """What a TIFF says of its picture. georeferenced: whether it says where on the map it is. orientation: its tag.
    kind: of its colours, None where these are grey or RGB without a profile. alone: the command that keeps nothing but
    this picture."""

    width: int
    height: int
    georeferenced: bool
    orientation: int
    kind: str | None
    alone: str


def read_facts(path: Path) -> TiffFacts:
    """What a TIFF says of its picture, none of which is decoded. Raises SampleError, and what tifffile raises."""
    with tifffile.TiffFile(path) as tiff:
        page, _ = _pages(tiff, path)
        _nodata(page, path)
        tag = page.tags.get(ORIENTATION)
        orientation = check_orientation(path, None if tag is None else int(tag.value))
        placed = any(tag in page.tags for tag in GEOREFERENCE)
        kind = None if page.photometric in COLOURS else _name(page.photometric)
        return TiffFacts(page.imagewidth, page.imagelength, placed, orientation, kind, _alone(page, path))


def read_tiff(path: Path, beside: Beside = NOTHING) -> Raster:
    """The first full-size picture of a TIFF. beside: what a file beside it says of its bands.

    Raises SampleError for a kind that would need a guess, with the command that converts it, and for one that is
    truncated or declares too much; what tifffile raises for a broken one.
    """
    size = path.stat().st_size
    with tifffile.TiffFile(path) as tiff:
        page, mask = _pages(tiff, path)
        _check(page, path, size)
        orientation = _orientation(page, path)
        values = _bands(page, path)
        present = _present(page, path)
        order, alphas = bands_of(*_said(page, values.shape[2], beside))
        masks: list[NDArray[np.bool_]] = [values[..., band] > 0 for band in alphas]
        if mask is not None:
            _check(mask, path, size)
            masks.append(np.asarray(mask.asarray()).reshape(values.shape[:2]) > 0)
        kept = [band for band in range(values.shape[2]) if band not in alphas]
        if not kept:
            raise SampleError(f"image {path} has an alpha band and no colours; {gdal(path, '-b', '1')}")
        palette = _palette(page, path) if beside.roles.get(0, "palette") == "palette" else None
        raster = Raster(
            values=values[..., kept] if alphas else values,
            bits=page.bitspersample,
            palette=palette,
            order=None if order in (None, tuple(kept[:3])) else _places(kept, order),
            white_is_zero=page.photometric == _P.MINISWHITE,
        )
        nodata = _nodata(page, path)
        valid = None if nodata is None else differing(raster.values, nodata)
        shown = list(raster.shown)
        said = choice([kept[band] + 1 for band in shown], len(kept), order is not None)
        if present is not None:
            masks.append(_any(present[..., [kept[band] for band in shown]]))
        if valid is not None:
            masks.append(_any(valid[..., shown]))
    known = np.logical_and.reduce(masks) if masks else None
    return Raster(
        values=turn(raster.values, orientation),
        bits=raster.bits,
        known=None if known is None else turn(known, orientation),
        valid=None if valid is None else turn(valid, orientation),
        palette=palette,
        order=raster.order,
        orientation=orientation,
        white_is_zero=raster.white_is_zero,
        choice=said,
    )


def _places(kept: list[int], order: tuple[int, int, int]) -> tuple[int, int, int]:
    """Where bands are among those that are kept."""
    red, green, blue = (kept.index(band) for band in order)
    return red, green, blue


def _any(bands: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) of (H, W, bands): where any of them is."""
    return np.asarray(bands.any(axis=-1))


def _pages(tiff: tifffile.TiffFile, path: Path) -> tuple[Any, Any | None]:
    """The picture's page, and its mask's if it has one.

    Raises SampleError where a larger picture follows that the file does not call another one: the first may be a
    thumbnail, and nothing says so.
    """
    picture, mask, last = None, None, False
    pages: Iterator[Any] = islice(tiff.pages, PAGES)
    for page in pages:
        kind, old = int(page.subfiletype or 0), page.tags.get(OLD_SUBFILE)
        if kind & REDUCED or (old is not None and old.value == OLD_REDUCED):
            continue
        if picture is None:
            picture = None if kind & MASK else page
        elif not kind & MASK:
            _check_first(picture, page, path)
            last = True
        elif (page.imagewidth, page.imagelength) == (picture.imagewidth, picture.imagelength) and not last:
            mask, last = page, True
    picture = tiff.pages.first if picture is None else picture
    for page in picture.pages or ():  # SubIFDs
        _check_first(picture, page, path)
    return picture, mask


def _check_first(picture: Any, page: Any, path: Path) -> None:
    """Raise SampleError for a page that is larger than the picture."""
    if page.imagewidth * page.imagelength > picture.imagewidth * picture.imagelength:
        raise SampleError(
            f"image {path} has several pictures, the first of {picture.imagewidth} x {picture.imagelength} pixels and "
            f"one of {page.imagewidth} x {page.imagelength}: is the first a thumbnail? Keep the one that is meant; "
            f"{_alone(page, path)}"
        )


def _alone(page: Any, path: Path) -> str:
    """What keeps one page of a file."""
    return gdal_part(f"GTIFF_DIR:off:{page.offset}:{path}", path)


def _check(page: Any, path: Path, size: int) -> None:
    """Raise SampleError before a page is decoded that claims too much, is cut off or is of a kind that is not read."""
    check_size(path, page.imagewidth, page.imagelength)
    if page.is_tiled:
        check_size(path, page.tilewidth, page.tilelength)
    if page.nbytes > MAX_BYTES:
        raise SampleError(
            f"image {path} says it has {page.samplesperpixel:,} bands and {page.nbytes:,} bytes, more than the "
            f"{MAX_BYTES:,} that are read; cut it into tiles, or keep its first three bands"
        )
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(ends, default=0) > size:
        raise SampleError(f"image {path} ends after {size:,} of {max(ends):,} bytes; it is truncated: fetch it anew")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        raise SampleError(
            f"image {path} is compressed in a way that is not read ({error.args[0]}); "
            f"{gdal(path, '-co', 'COMPRESS=DEFLATE')}"
        ) from error


def _orientation(page: Any, path: Path) -> int:
    tag = page.tags.get(ORIENTATION)
    orientation = check_orientation(path, None if tag is None else int(tag.value))
    if orientation != AS_STORED and any(tag in page.tags for tag in GEOREFERENCE):
        raise SampleError(
            f"image {path} has orientation tag {orientation} and a georeference: viewers turn it, GIS do not, and "
            f"masks may be drawn on either; write it as GIS show it, without the tag, and look at it: {gdal(path)}"
        )
    return orientation


def _bands(page: Any, path: Path) -> NDArray[Any]:
    """(H, W, bands) as stored, alpha included."""
    kind = f"image {path} is a TIFF of kind"
    if page.photometric not in COLOURS:
        command = magick(path, "-colorspace", "sRGB", "-depth", "8")
        raise SampleError(f"{kind} {_name(page.photometric)}; save it as grey, RGB or palette: {command}")
    if page.photometric == _P.YCBCR and page.compression not in JPEG:
        command = gdal(path, "-co", "PHOTOMETRIC=RGB")
        raise SampleError(f"{kind} YCBCR without JPEG; save it as RGB: {command}")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise SampleError(f"image {path} is a TIFF with axes {page.axes}; give one image of rows, columns, bands")
    if _has_palette(page) and page.axes != "YX":
        raise SampleError(
            f"{kind} PALETTE with {page.samplesperpixel} bands; {gdal(path, '-b', '1', '-expand', 'rgb')}"
        )
    values = np.asarray(page.asarray())
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    values = values.astype(np.uint8) if values.dtype == np.bool_ and _has_palette(page) else values
    return values[..., None] if page.axes == "YX" else np.moveaxis(values, 0, -1) if page.axes == "SYX" else values


def _name(photometric: int) -> str:
    try:
        return _P(photometric).name
    except ValueError:  # a number that no specification has
        return str(photometric)


def _has_palette(page: Any) -> bool:
    """Whether values are those of a palette. GDAL calls an image grey of which it learns its palette late, and takes it
    for one all the same."""
    if page.photometric not in (_P.MINISWHITE, _P.MINISBLACK):
        return bool(page.photometric == _P.PALETTE)
    tag = page.tags.get(COLOUR_MAP)
    bits, whole = page.bitspersample, page.dtype is not None and page.dtype.kind in "ui"
    return tag is not None and whole and bits <= 16 and tag.count == 3 << bits


def _palette(page: Any, path: Path) -> NDArray[np.uint8] | None:
    """(n, 3) of a palette's 16-bit entries; some writers give 8 bits."""
    if not _has_palette(page):
        return None
    entries = np.moveaxis(np.asarray(page.colormap), 0, -1)
    if len(entries) < 1 << page.bitspersample:
        raise SampleError(
            f"image {path} has a palette of {len(entries):,} colours for values of {page.bitspersample} bits; it is "
            "damaged: fetch it again"
        )
    return (entries >> 8 if entries.max() > 255 else entries).astype(np.uint8)


def _said(page: Any, count: int, beside: Beside) -> tuple[list[str], list[str]]:
    """Role and description of each of so many bands, as bands_of() takes them: by TIFF's tags, GDAL's metadata and,
    before them, the file beside it."""
    roles, descriptions = [""] * count, [""] * count
    if page.photometric == _P.RGB and count >= len(RGB):
        roles[: len(RGB)] = RGB
    first = page.samplesperpixel - len(page.extrasamples)
    for band, extra in enumerate(page.extrasamples, start=first):
        if extra in ALPHA and band < count:
            roles[band] = "alpha"
    tag = page.tags.get(GDAL_METADATA)
    for band, role, words in _ITEM.findall(str(tag.value)) if tag is not None else ():
        if int(band) < count:
            (roles if role == "colorinterp" else descriptions)[int(band)] = words.strip().lower()
    for said, known in ((roles, beside.roles), (descriptions, beside.descriptions)):
        for place, words in known.items():
            if 0 <= place < count:
                said[place] = words
    return roles, descriptions


def _nodata(page: Any, path: Path) -> float | None:
    """The no-data value that a file declares for all its bands, which none of them may be able to have; None for none.

    Raises SampleError for one that is no number: GDAL would take what it begins with, or 0.
    """
    tag = page.tags.get(GDAL_NODATA)
    text = str(tag.value).strip("\0 ") if tag is not None else ""
    if not text:
        return None
    try:
        return math.nan if NAN.fullmatch(text) else float(text)
    except ValueError as error:
        raise SampleError(
            f"image {path} has the no-data value {brief(text)!r}, which is no number; set it right, or take it off: "
            f"gdal_edit.py -unsetnodata {path}"
        ) from error


def _present(page: Any, path: Path) -> NDArray[np.bool_] | None:
    """(H, W, bands): which pixels lie in tiles or strips that the file has; None where it has all."""
    absent = [not (offset and count) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    height, width, bands = page.imagelength, page.imagewidth, page.samplesperpixel
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    if not (rows and columns):
        raise SampleError(f"image {path} has tiles or strips without pixels; it is damaged: fetch it again")
    down, across = -(-height // rows), -(-width // columns)
    planes = bands if page.axes == "SYX" else 1
    if len(absent) != planes * down * across:
        raise SampleError(
            f"image {path} lists {len(absent):,} of {planes * down * across:,} tiles or strips; it is damaged: fetch "
            "it again"
        )
    if not any(absent):
        return None
    there = ~np.array(absent).reshape(planes, down, across)
    whole = there.repeat(rows, axis=1)[:, :height].repeat(columns, axis=2)[:, :, :width]
    return np.broadcast_to(np.moveaxis(whole, 0, -1), (height, width, bands))
