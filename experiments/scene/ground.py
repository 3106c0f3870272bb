"""Metres on the ground, on the WGS 84 ellipsoid, whatever the coordinates: right in degrees and Web Mercator, too."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError

WGS84 = "EPSG:4326"
EDGE = 64  # pixels: longer edges are broken before they are laid on the ellipsoid, where straight is another thing


def to_wgs84(geometries: geopandas.GeoSeries) -> geopandas.GeoSeries | None:
    """Longitudes and latitudes; None where the coordinates are of no place on the Earth, or not known of which."""
    if geometries.crs is None:
        return None
    try:
        return geometries.to_crs(WGS84)
    except ProjError:  # a local grid
        return None


def reference_system(crs: Any) -> str:
    """A reference system by its code, else by its name."""
    code = crs.to_epsg()
    return CRS.from_wkt(crs.to_wkt()).name if code is None else f"EPSG:{code}"


def areas(geometries: geopandas.GeoSeries, pixel: float) -> NDArray[np.float64]:
    """Square metres of each polygon, geodesic; NaN where they cannot be known. pixel: its side, in coordinates."""
    edges = geopandas.GeoSeries(shapely.segmentize(geometries.to_numpy(), EDGE * pixel), crs=geometries.crs)
    placed = to_wgs84(edges)
    if placed is None:
        return np.full(len(geometries), np.nan)
    geod = Geod(ellps="WGS84")
    return np.array([abs(geod.geometry_area_perimeter(shapely.force_2d(one))[0]) for one in placed], np.float64)


def pixel_size(crs: Any, transform: Affine, height: int, width: int) -> tuple[float, float] | None:
    """Metres of a pixel in the middle of a scene, down and across; None where it lies on no map."""
    if crs is None:
        return None
    try:
        to_degrees = Transformer.from_crs(crs.to_wkt(), WGS84, always_xy=True)
        column, row = width / 2, height / 2
        ends = [(column, row - 0.5), (column, row + 0.5), (column - 0.5, row), (column + 0.5, row)]
        places = [to_degrees.transform(*(transform @ end), errcheck=True) for end in ends]
    except ProjError:
        return None
    geod = Geod(ellps="WGS84")
    _, _, down = geod.inv(*places[0], *places[1])
    _, _, across = geod.inv(*places[2], *places[3])
    return float(down), float(across)
