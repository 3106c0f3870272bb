"""A scene, read in parts: 8-bit RGB by the rules of benchmark/data/images, whatever its size.

GDAL (rasterio) reads the values of a part; what they become is decided where it is decided for every image
(rules.py). Values of more than 8 bits are stretched between two values that are measured once, on the whole scene:
read at no more than MEASURED pixels a side, every k-th pixel, or an overview where the file has one. So a pixel is the
same in every window, and a scene of up to MEASURED pixels a side is read exactly as an image is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from benchmark.data.errors import SampleError
from benchmark.data.images.advice import gdal
from benchmark.data.images.bands import bands_of, choice
from benchmark.data.images.decoding import tiff_facts
from benchmark.data.images.raster import AS_STORED, Raster, differing
from benchmark.data.images.rules import Picture, Stretch, stretch_of, to_picture
from benchmark.data.images.side_files import read_beside

MEASURED = 2048  # pixels a side, at most, that a stretch is measured on
CACHE = 256 << 20  # bytes of decoded blocks that GDAL keeps; its own limit is a share of the machine's memory


class Scene:
    """An open scene.

    bands: those that are shown, one or three, counted from 1. choice: what there is to say of them where nobody asked
    for them (bands.py). stretch: the values that become 0 and 255; None where
    they are shown as they are. file: rasterio's, with its crs and transform.
    """

    def __init__(self, path: Path, file: Any, bands: Sequence[int] | None) -> None:
        self.path = path
        self.file = file
        self.height, self.width = int(file.height), int(file.width)
        self.bands, self._alphas, self.choice = _shown(path, file, bands)
        roles = file.colorinterp
        flags = file.mask_flag_enums[0]
        self._masked = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
        self._bits = int(file.tags(self.bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 0))
        self._white_is_zero = file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        self._palette = _palette(file, self.bands[0]) if roles[self.bands[0] - 1] == ColorInterp.palette else None
        self._present = _present(file, self.bands)

    @cached_property
    def stretch(self) -> Stretch | None:
        """Measured when it is asked for: the whole file may have to be read. Raises SampleError as read()."""
        return stretch_of(self._raster(None, self.reduced(MEASURED)), self.path)

    def reduced(self, side: int) -> tuple[int, int]:
        """Height and width of the scene when it is made no larger than `side` pixels a side."""
        factor = max(self.height, self.width, side) / side
        return max(round(self.height / factor), 1), max(round(self.width / factor), 1)

    def read(self, top: int, left: int, height: int, width: int) -> Picture:
        """A part of the scene, its pixels as they are. Raises SampleError where the file is damaged."""
        return to_picture(self._raster((top, left), (height, width)), self.path, self.stretch)

    def overview(self, side: int) -> Picture:
        """The whole scene at no more than `side` pixels a side: every k-th pixel, or an overview of the file."""
        return to_picture(self._raster(None, self.reduced(side)), self.path, self.stretch)

    def _raster(self, corner: tuple[int, int] | None, shape: tuple[int, int]) -> Raster:
        """The values of a part whose first pixel is `corner`, or of the whole made smaller (None), as stored."""
        window = None if corner is None else Window(corner[1], corner[0], shape[1], shape[0])
        try:
            values = self.file.read(self.bands, window=window, out_shape=(len(self.bands), *shape))
            masks = [self.file.read(band, window=window, out_shape=shape) > 0 for band in self._alphas]
            if self._masked:
                masks.append(self.file.read_masks(1, window=window, out_shape=shape) > 0)
        except RasterioError as error:
            raise SampleError(
                f"scene {self.path} cannot be read to its end ({error}); it is truncated or damaged: fetch it again"
            ) from error
        values = np.moveaxis(values, 0, -1)
        values = values.astype(np.bool_) if self._bits == 1 and self._palette is None else values
        nodata = self.file.nodata
        valid = None if nodata is None else differing(values, float(nodata))
        if valid is not None:
            masks.append(np.asarray(valid.any(axis=-1)))
        if self._present is not None:
            masks.append(self._there(self._present, corner, shape))
        return Raster(
            values=values,
            bits=self._bits or values.dtype.itemsize * 8,
            known=np.logical_and.reduce(masks) if masks else None,
            valid=valid,
            palette=self._palette,
            white_is_zero=self._white_is_zero,
        )

    def _there(
        self, present: NDArray[np.bool_], corner: tuple[int, int] | None, shape: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Which pixels of a part, as of `_raster`, lie in blocks that the file has."""
        rows, columns = (
            ((np.arange(count) + 0.5) * whole / count).astype(int) if corner is None else start + np.arange(count)
            for count, whole, start in zip(shape, (self.height, self.width), corner or (0, 0), strict=True)
        )
        block_rows, block_columns = self.file.block_shapes[0]
        found: NDArray[np.bool_] = present[np.ix_(rows // block_rows, columns // block_columns)]
        return found


@contextmanager
def open_scene(path: Path, bands: Sequence[int] | None = None) -> Iterator[Scene]:
    """A scene for as long as the block lasts.

    Args:
        path: a TIFF.
        bands: three to show as red, green and blue, or one as grey, counted from 1; None: those that the file calls
            so, else its first three, of two its first.

    Raises:
        FileNotFoundError, SampleError: no TIFF, a broken one, or one that would need a guess, with the command that
            converts it; a band that is not there.
    """
    facts = tiff_facts(path)
    if facts is None:
        raise SampleError(f"scene {path} is no TIFF, of which alone any part can be read by itself; {_cog(path)}")
    read_beside(path)  # GDAL passes over one that cannot be read, and with it over what it says of bands and no data
    if facts.orientation != AS_STORED:
        raise SampleError(
            f"scene {path} has orientation tag {facts.orientation}, which GIS pass over; write it as they show it, "
            f"without the tag, and look at it: {gdal(path)}"
        )
    if facts.kind is not None and bands is None:
        raise SampleError(
            f"scene {path} is a TIFF of kind {facts.kind}, whose colours become RGB by a profile only; save it as RGB, "
            "or name the bands that are to be shown"
        )
    with rasterio.Env(GDAL_CACHEMAX=CACHE), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a scene may lie on no map
        try:
            file = rasterio.open(path)
        except RasterioError as error:
            raise SampleError(f"scene {path} cannot be read ({error}); fetch it again, or {_cog(path)}") from error
        with file:
            if (file.width, file.height) != (facts.width, facts.height):
                raise SampleError(
                    f"scene {path} begins with a smaller copy of {file.width} x {file.height} pixels, which GIS take "
                    f"for it; keep the picture of {facts.width} x {facts.height}; {facts.alone}"
                )
            if file.transform.is_identity and file.gcps[0]:
                raise SampleError(
                    f"scene {path} is placed by control points, not by a grid: gdalwarp {path} "
                    f"{path.with_name(f'{path.stem}_grid.tif')}"
                )
            if not math.isfinite(extent := file.transform.determinant) or not extent:
                raise SampleError(
                    f"scene {path} has pixels without an extent on the map, by its transform "
                    f"{tuple(file.transform)[:6]}; say where it lies: gdal_translate -a_ullr ... {path} OUT.tif"
                )
            yield Scene(path, file, bands)


def _cog(path: Path) -> str:
    return gdal(path, "-of", "COG")


def _shown(path: Path, file: Any, bands: Sequence[int] | None) -> tuple[list[int], list[int], str | None]:
    """The bands that are shown and those that are alpha, counted from 1, and what there is to say of the first."""
    order, alphas = bands_of([role.name for role in file.colorinterp], [text or "" for text in file.descriptions])
    alphas = [band + 1 for band in alphas]
    if bands is not None:
        if len(bands) not in (1, 3) or not all(1 <= band <= file.count for band in bands):
            raise SampleError(
                f"bands {','.join(map(str, bands))}: scene {path} has bands 1 to {file.count}; give three of them, "
                "red, green and blue, or one"
            )
        return list(bands), alphas, None
    plain = [band for band in range(1, file.count + 1) if band not in alphas]
    if not plain:
        raise SampleError(f"scene {path} has an alpha band and no colours; {gdal(path, '-b', '1')}")
    shown = plain[:3] if len(plain) >= 3 else plain[:1]
    if order is not None:
        shown = [band + 1 for band in order]
    return shown, alphas, choice(shown, len(plain), order is not None)


def _palette(file: Any, band: int) -> NDArray[np.uint8] | None:
    """(n, 3) of the entries of a band's palette, one for each value; None where it has none that its values fit."""
    dtype = np.dtype(file.dtypes[band - 1])
    if dtype.kind not in "ui" or dtype.itemsize > 2:
        return None
    palette = np.zeros((1 << 8 * dtype.itemsize, 3), np.uint8)
    try:
        colours = file.colormap(band)
    except ValueError:  # a band that is said to have one and has not
        return None
    for index, colour in colours.items():
        if index < len(palette):
            palette[index] = colour[:3]
    return palette


def _present(file: Any, bands: Sequence[int]) -> NDArray[np.bool_] | None:
    """(rows of blocks, columns of blocks): which of a file's tiles or strips are in it; None where all are."""
    rows, columns = file.block_shapes[0]
    down, across = math.ceil(file.height / rows), math.ceil(file.width / columns)
    apart = file.profile.get("interleave") == "band" and file.count > 1
    there = np.zeros((down, across), np.bool_)
    for band in bands if apart else bands[:1]:
        for row in range(down):
            for column in range(across):
                if not there[row, column]:
                    key = f"BLOCK_OFFSET_{column}_{row}"
                    there[row, column] = file.get_tag_item(key, "TIFF", bidx=band) is not None
    return None if there.all() else there
