"""Polygons of vector files, each with its category, in the coordinates of whatever scene they are looked for in.

A polygon that is invalid (it crosses itself) is repaired by shapely.make_valid; what is no polygon is left out; both
are counted. A multipolygon is one object.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import CRSError, ProjError

from benchmark.data.errors import SampleError
from benchmark.datasets.coco_rules import words
from benchmark.datasets.geo_layers import PARTS, find_layer

logger = logging.getLogger(__name__)
BROKEN = (DataSourceError, DataLayerError, CRSError, ProjError, UnicodeDecodeError, shapely.errors.GEOSException)
POLYGONS = ("Polygon", "MultiPolygon")


class OnGround(NamedTuple):
    """All polygons in one reference system. shapes: (N). boxes: (N, 4) x1, y1, x2, y2; not finite where a polygon has
    no place there."""

    shapes: NDArray[np.object_]
    boxes: NDArray[np.float64]


class Polygons:
    """The polygons of all files. frames: of each of ``files``. names: (N) categories as words."""

    def __init__(self, frames: Sequence[geopandas.GeoDataFrame], files: Sequence[Path]) -> None:
        self._frames = frames
        self._files = files
        self.names: list[str] = [name for frame in frames for name in frame["category"]]
        self._known: dict[str, OnGround] = {}

    def feature(self, place: int) -> str:
        """What a polygon is called in its file."""
        ends = np.cumsum([len(frame) for frame in self._frames])
        number = int(np.searchsorted(ends, place, side="right"))
        return f"{self._files[number].name} {self._frames[number].index[place - int(ends[number])]}"

    def on(self, crs: str, scene: Path) -> OnGround:
        """All of them in a scene's reference system (WKT). Raises SampleError where they cannot be brought there."""
        if crs not in self._known:
            try:
                shapes = np.concatenate([frame.geometry.to_crs(crs).to_numpy() for frame in self._frames])
            except (CRSError, ProjError) as error:
                raise SampleError(
                    f"polygons cannot be brought into the reference system of scene {scene} ({error}); is it a local "
                    "grid? gdalwarp -t_srs EPSG:... IN.tif OUT.tif"
                ) from error
            self._known[crs] = OnGround(shapes, shapely.bounds(shapes))
        return self._known[crs]


def read_polygons(files: Sequence[Path], layer: str | None, column: str, dataset: str) -> Polygons:
    """Read the polygons of all files; it is logged what was repaired or left out.

    Raises SampleError for a file that cannot be read, without the layer or the column, without a reference system, with
    polygons that have no category, and where there is no polygon at all.
    """
    polygons = Polygons([_read(path, layer, column, dataset) for path in files], files)
    if not polygons.names:
        raise SampleError(
            f"{', '.join(map(str, files))}: no polygon{'' if layer is None else f' in layer {layer!r}'}; draw some, or "
            f"set datasets.{dataset}.polygons or layer to where they are"
        )
    return polygons


def _read(path: Path, layer: str | None, column: str, dataset: str) -> geopandas.GeoDataFrame:
    """A file's polygons with the columns category and geometry, in its own reference system."""
    try:
        layer = find_layer(path, layer, column, dataset)
        frame = pyogrio.read_dataframe(path, layer=layer, columns=[column], fid_as_index=True)
    except BROKEN as error:
        raise SampleError(f"{path} cannot be read as polygons ({error}); {PARTS}") from error
    shapes, drawn = _polygons(frame.geometry.to_numpy(), path, dataset)
    names = [_name(value, path, column, place) for place, value in frame[column][drawn].items()]
    if unnamed := [place for place, name in zip(frame.index[drawn], names, strict=True) if not name]:
        raise SampleError(
            f"{path}: {len(unnamed):,} of {len(names):,} polygons have no word in column {column!r}, the first is "
            f"feature {unnamed[0]}; complete or delete them: no sentence may be true of what has no name"
        )
    return geopandas.GeoDataFrame({"category": names}, geometry=shapes[drawn], index=frame.index[drawn], crs=frame.crs)


def _name(value: Any, path: Path, column: str, place: Any) -> str:
    """A category as words; "" for none. Raises SampleError for numbers."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if not isinstance(value, str):
        raise SampleError(
            f"{path}: column {column!r} has {value!r} in feature {place}, and sentences need words; name a column of "
            "text"
        )
    return words(value)


def _polygons(shapes: NDArray[np.object_], path: Path, dataset: str) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Shapes as flat and valid polygons, and which of them are polygons with an area; others are counted."""
    shapes = shapely.force_2d(shapes)
    points, owners = shapely.get_coordinates(shapes, return_index=True)
    shapes[np.unique(owners[~np.isfinite(points).all(axis=1)])] = None  # no place at all, and not for make_valid
    broken = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[broken] = [_flat(shape) for shape in shapely.make_valid(shapes[broken])]
    if broken.any():
        logger.warning(f"{dataset}: {path}: {np.count_nonzero(broken):,} polygons were invalid and are repaired")
    drawn = np.array([shape is not None and shape.geom_type in POLYGONS for shape in shapes], np.bool_)
    drawn &= shapely.area(shapes) > 0
    if not drawn.all():
        left = np.count_nonzero(~drawn)
        logger.warning(f"{dataset}: {path}: {left:,} of {len(shapes):,} features are no polygons and are left out")
    return shapes, drawn


def _flat(shape: Any) -> Any:
    """The polygons of a repaired shape, which may have got points and lines besides."""
    if shape.geom_type in POLYGONS:
        return shape
    parts = [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type in POLYGONS]
    return shapely.MultiPolygon(parts) if parts else None
