"""Layers of vector files: which one is read, and whether it has what is needed of it; no feature of it is read."""

from __future__ import annotations

from pathlib import Path

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from benchmark.data.errors import SampleError

NO_WORDS = ("int", "uint", "float", "bool", "date")  # how types begin, in pyogrio's names, that are no text
PARTS = "is all of it there? A Shapefile is .shp, .shx, .dbf and .prj"


def find_layer(path: Path, layer: str | None, column: str, dataset: str) -> str:
    """The layer that is read: the one that is asked for, or the only one.

    Raises SampleError for a file that cannot be read, or has no such layer, and for a layer without a reference system
    or without the column, or with a column that is no text.
    """
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(layers) == 1:
            layer = layers[0]
        elif layer is None or layer not in layers:
            fault = "several layers" if layer is None and layers else "no layer" + (f" {layer!r}" if layer else "")
            raise SampleError(
                f"{path} has {fault}; set datasets.{dataset}.layer to one of: {', '.join(layers) or 'none'}"
            )
        about = pyogrio.read_info(path, layer=layer)
    except (DataSourceError, DataLayerError, UnicodeDecodeError) as error:
        raise SampleError(f"{path} cannot be read as polygons ({error}); {PARTS}") from error
    if about["crs"] is None:
        raise SampleError(
            f"{path} does not say in which reference system its coordinates are (a Shapefile has it in a .prj); find "
            f"out and say so: ogr2ogr -a_srs EPSG:... {path.with_name(f'{path.stem}_placed.gpkg')} {path}"
        )
    types = dict(zip(map(str, about["fields"]), map(str, about["dtypes"]), strict=True))
    words = [name for name, kind in types.items() if not kind.startswith(NO_WORDS)]
    if column not in words:
        fault = f"column {column!r} has values of type {types[column]}" if column in types else f"no column {column!r}"
        raise SampleError(
            f"{path}: {fault}, and sentences need words; set datasets.{dataset}.category to one of: "
            f"{', '.join(words) or 'none'}"
        )
    return layer
