"""What is written of a scene: masks and probabilities on its own grid, polygons, pictures and QGIS styles.

All are made in a folder of the state and moved to their place when they are whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.shutil import copy
from rasterio.windows import Window

from benchmark.data.files import remove
from benchmark.data.images.scene_files import Scene
from benchmark.results.pictures import overlay
from experiments.errors import InputError
from experiments.scene.polygons import find_polygons, write_polygons
from experiments.scene.state import HALF, LEVELS, NO_DATA, State
from experiments.scene.styles import mask_style, polygon_style

BLOCK = 512  # pixels a side of the tiles that are written, and lines at a time
PICTURE = 2000  # pixels a side of an overlay, at most


@dataclass(frozen=True)
class Found:
    """What there is of one expression. pixels: of its mask; known: of the scene that have data. area: square metres,
    NaN where the scene lies on no map."""

    expression: str
    pixels: int
    known: int
    polygons: int
    area: float


@dataclass(frozen=True)
class Layers:
    """Where layers go. folder: of all; name: of the polygons, without a suffix; prefix: of all other names."""

    folder: Path
    name: str
    prefix: str
    count: int
    probability: bool

    def of(self, place: int, kind: str, suffix: str) -> str:
        """The name of one expression's layer; place: counted from 0."""
        return f"{self.prefix}{kind}{'' if self.count == 1 else f'_{place + 1}'}{suffix}"

    def left(self) -> list[str]:
        """The files at their place that an earlier call wrote, of more expressions or with probabilities, and this one
        does not write."""
        form = re.compile(re.escape(self.prefix) + r"((mask|probability)(_[0-9]+)?\.tif|overlay(_[0-9]+)?\.png)")
        return sorted({file.name for file in self.folder.iterdir() if form.fullmatch(file.name)} - set(self.names()))

    def names(self) -> Iterator[str]:
        """Of every file."""
        yield from (f"{self.name}{suffix}" for suffix in (".gpkg", ".geojson", ".qml"))
        for place in range(self.count):
            kinds = [("mask", ".tif"), ("mask", ".qml"), ("overlay", ".png")]
            kinds += [("probability", ".tif")] * self.probability
            yield from (self.of(place, *kind) for kind in kinds)


def layers_at(out: Path, scene: Path, count: int, probability: bool) -> Layers:
    """Where the layers of `count` expressions go: into the folder `out`, or beside out, a .gpkg, with its name.

    Raises:
        InputError: neither, or a place that is taken by something else, the scene itself among it.
    """
    if out.suffix.lower() == ".gpkg":
        layers = Layers(out.parent, out.stem, f"{out.stem}_", count, probability)
    elif out.suffix.lower() in (".tif", ".tiff", ".json", ".geojson", ".shp", ".jpg", ".jpeg"):
        raise InputError(f"--out {out}: of a scene several layers are written; give a folder, or a name in .gpkg")
    else:
        layers = Layers(out, "polygons", "", count, probability)
    place = next(folder for folder in (layers.folder / "x").absolute().parents if folder.exists())
    if not place.is_dir():
        raise InputError(f"--out {out}: {place} is a file; give a folder, or a name in .gpkg")
    for file in (layers.folder / name for name in layers.names()):
        if file.is_dir() or file.resolve() == scene.resolve():
            raise InputError(
                f"--out {out}: {file} is {'a folder' if file.is_dir() else 'the scene'}; give another name"
            )
    return layers


def write_layers(scene: Scene, state: State, expressions: Sequence[str], layers: Layers) -> tuple[list[Found], bool]:
    """Write all layers, replacing older ones.

    Returns:
        What there is of each expression, and whether there is a GeoJSON: the scene's coordinates are of the Earth.
    """
    made, rough = state.folder / "layers", state.folder / "rough"
    for folder in (made, rough):
        remove(folder)
        folder.mkdir()
    masks: list[Path] = []
    counts: list[tuple[int, int]] = []
    picture = scene.overview(PICTURE)
    for place in range(len(expressions)):
        masks.append(rough / f"mask_{place}.tif")
        small, pixels, known = _write_mask(scene, state, place, expressions[place], masks[-1], picture.pixels.shape[:2])
        counts.append((pixels, known))
        _to_cog(masks[-1], made / layers.of(place, "mask", ".tif"))
        (made / layers.of(place, "mask", ".qml")).write_bytes(mask_style(expressions[place], place))
        painted = Image.fromarray(overlay(picture.pixels, small, small))
        painted.save(made / layers.of(place, "overlay", ".png"), format="PNG")
        if layers.probability:
            _write_probability(scene, state, place, expressions[place], rough / f"probability_{place}.tif")
            _to_cog(rough / f"probability_{place}.tif", made / layers.of(place, "probability", ".tif"), "AVERAGE")
    table = find_polygons(scene, masks, state, expressions)
    geojson = made / f"{layers.name}.geojson"
    placed = write_polygons(table, scene, made / f"{layers.name}.gpkg", geojson)
    (made / f"{layers.name}.qml").write_bytes(polygon_style(expressions))
    layers.folder.mkdir(parents=True, exist_ok=True)
    if not placed:
        remove(layers.folder / geojson.name)  # an older one would be of something else
    for file in sorted(made.iterdir()):
        file.replace(layers.folder / file.name)
    found = []
    for expression, (pixels, known) in zip(expressions, counts, strict=True):
        own = table[table["expression"] == expression]
        found.append(Found(expression, pixels, known, len(own), float(own["area_m2"].sum(skipna=False))))
    return found, placed


def _write_mask(
    scene: Scene, state: State, place: int, expression: str, path: Path, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], int, int]:
    """Write the mask of an expression: 1, 0, NO_DATA. The band is called by the expression.

    Returns:
        Which pixels of a picture of `shape` hold any of it; its pixels; the scene's pixels with data.
    """
    rows, columns = (
        np.arange(whole) * part // whole for whole, part in zip((scene.height, scene.width), shape, strict=True)
    )
    edges = np.searchsorted(columns, np.arange(shape[1]))
    small, pixels, known = np.zeros(shape, np.bool_), 0, 0
    with rasterio.open(path, "w", **_profile(scene)) as file:
        file.descriptions = (expression,)
        for top, levels in _strips(scene, state, place):
            unknown, mask = levels == NO_DATA, (levels > HALF) & (levels != NO_DATA)
            file.write(np.where(unknown, np.uint8(NO_DATA), mask), 1, window=_lines(scene, top, len(levels)))
            pixels += int(mask.sum())
            known += mask.size - int(unknown.sum())
            np.logical_or.at(small, rows[top : top + len(levels)], np.logical_or.reduceat(mask, edges, axis=1))
    return small, pixels, known


def _write_probability(scene: Scene, state: State, place: int, expression: str, path: Path) -> None:
    """Write probabilities as they are kept, in steps of 1 / LEVELS, which the file says as its scale."""
    with rasterio.open(path, "w", **_profile(scene)) as file:
        file.descriptions = (expression,)
        file.scales = (1 / LEVELS,)
        for top, levels in _strips(scene, state, place):
            file.write(levels, 1, window=_lines(scene, top, len(levels)))


def _strips(scene: Scene, state: State, place: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """All levels of an expression, some lines at a time, with the first of these."""
    for top in range(0, scene.height, BLOCK):
        yield top, state.lines(place, top, min(BLOCK, scene.height - top))


def _lines(scene: Scene, top: int, count: int) -> Window:
    return Window(0, top, scene.width, count)


def _profile(scene: Scene) -> dict[str, Any]:
    """A band of bytes on the scene's own grid."""
    placed = {} if scene.file.transform.is_identity else {"transform": scene.file.transform}
    return {
        **{"driver": "GTiff", "height": scene.height, "width": scene.width, "count": 1, "dtype": "uint8"},
        **{"crs": scene.file.crs, **placed, "nodata": NO_DATA, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK},
        **{"compress": "deflate", "BIGTIFF": "IF_SAFER"},
    }


def _to_cog(source: Path, target: Path, overviews: str = "NEAREST") -> None:
    """Write a GeoTIFF anew as a cloud-optimised one, compressed, with overviews."""
    copy(source, target, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=BLOCK, OVERVIEW_RESAMPLING=overviews)
