"""The mask of a scene as polygons: with a score, pixels and an area, as GeoPackage and GeoJSON.

GDAL walks over the mask's file, two lines at a time; memory is that of the polygons, not of the scene.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes

from benchmark.data.images.scene_files import Scene
from experiments.scene.ground import areas, to_wgs84
from experiments.scene.state import LEVELS, State

STRIP = 256  # lines that polygons are compared with the probabilities in
LAYER = "polygons"
VERSION = "1.2"  # of GeoPackage: newer ones make the GDAL of 2023 warn
KIND: dict[str, Any] = {"geometry_type": "MultiPolygon", "promote_to_multi": True}

Polygons = NDArray[np.object_]


def outline(mask: Path) -> Polygons:
    """Polygons that cover exactly the pixels of a mask's file that are 1, in columns and lines of the scene.

    Pixels that touch with a corner alone are not of one polygon.
    """
    with rasterio.open(mask) as file:
        band = rasterio.band(file, 1)
        found = [shapely.geometry.shape(outline) for outline, value in shapes(band, mask=band) if value == 1]
        to_pixels = ~file.transform  # outlines come in the file's coordinates; corners of pixels are whole numbers
    polygons = _moved(np.array(found, dtype=object), to_pixels, whole=True)
    faulty = ~shapely.is_valid(polygons)
    polygons[faulty] = shapely.make_valid(polygons[faulty])
    return polygons


def _moved(polygons: Polygons, transform: Affine, *, whole: bool = False) -> Polygons:
    """Polygons in other coordinates; whole: these are rounded."""

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        along, down = xy.T
        a, b, c, d, e, f = transform[:6]
        moved = np.column_stack([a * along + b * down + c, d * along + e * down + f])
        return np.rint(moved) if whole else moved

    placed: Polygons = shapely.transform(polygons, move)
    return placed


def inside(polygons: Polygons, state: State, place: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each polygon of `outline`, its pixels and their mean probability, in [0, 1]."""
    counts, sums = np.zeros(len(polygons), np.int64), np.zeros(len(polygons))
    if not len(polygons):
        return counts, sums
    first, last = shapely.bounds(polygons)[:, [1, 3]].T
    height, width = state.plan.down.length, state.plan.across.length
    for top in range(0, height, STRIP):
        lines = min(STRIP, height - top)
        here = np.flatnonzero((first < top + lines) & (last > top))
        if here.size:
            numbered = zip(polygons[here], (here + 1).tolist(), strict=True)
            burnt = rasterize(numbered, (lines, width), transform=Affine.translation(0, top), dtype="int32")
            within = burnt > 0
            places = burnt[within] - 1
            counts += np.bincount(places, minlength=len(polygons))
            sums += np.bincount(places, state.lines(place, top, lines)[within], len(polygons))
    return counts, sums / counts / LEVELS


def find_polygons(
    scene: Scene, masks: Sequence[Path], state: State, expressions: Sequence[str]
) -> geopandas.GeoDataFrame:
    """One row for each polygon of each expression's mask, in the scene's own coordinates.

    expression; score: mean probability in it, in [0, 1]; pixels; area_m2: geodesic, on WGS 84; none where the scene
    lies on no map.
    """
    transform = scene.file.transform
    tables: list[pd.DataFrame] = []
    for place, (mask, expression) in enumerate(zip(masks, expressions, strict=True)):
        polygons = outline(mask)
        pixels, scores = inside(polygons, state, place)
        placed = _moved(polygons, transform)
        columns = {"expression": expression, "score": scores.round(4), "pixels": pixels}
        tables.append(pd.DataFrame(columns, index=range(len(polygons))).assign(geometry=placed))
    crs = scene.file.crs
    table = geopandas.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=None if crs is None else crs.to_wkt())
    area = areas(table.geometry, float(np.hypot(transform.a, transform.d)))
    table.insert(3, "area_m2", area.round(3))
    return table


def write_polygons(table: geopandas.GeoDataFrame, scene: Scene, geopackage: Path, geojson: Path) -> bool:
    """Write the GeoPackage, and the GeoJSON, in WGS 84, where the scene's coordinates are of the Earth: whether they
    are. Their bytes follow from the table and the scene's file."""
    changed = datetime.fromtimestamp(int(scene.path.stat().st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": changed})  # a GeoPackage holds when it was last changed
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")  # a scene may lie on no map
            pyogrio.write_dataframe(table, geopackage, layer=LAYER, driver="GPKG", VERSION=VERSION, **KIND)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    placed = to_wgs84(table.geometry)
    if placed is None:
        return False
    geo = table.set_geometry(placed)
    pyogrio.write_dataframe(geo, geojson, layer=LAYER, driver="GeoJSON", RFC7946="YES", **KIND)
    return True
