"""Which split the ground belongs to, so that none of it is in two of them.

All scenes are laid on one plane: their own, if they share one in metres, else the UTM zone of their middle. By block,
it is cut into squares, counted from the plane's origin, whichever scene shows them; they are dealt out in random order,
each to the split that lacks most of its share. By scene, the ground belongs to every split with a scene of it. A patch
is of a split if all the ground that it shows is of that split alone; else it is of none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import CRSError, ProjError

from benchmark.data.errors import SampleError
from benchmark.data.samples import SPLITS
from benchmark.datasets.assemble import named_rng

STEPS = 16  # points along each edge of an outline, which is curved where it is laid on another plane
TINY = 1e-6  # of a patch or a block: less than this is no overlap, but rounding
Block = tuple[int, int]


class SceneOnMap(NamedTuple):
    """A scene's place. name: from the root. crs: WKT. transform: column, row -> x, y."""

    path: Path
    name: str
    height: int
    width: int
    crs: str
    transform: Affine


def applied(
    transform: Affine, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A transform of many points."""
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


class Ground:
    """The plane that all scenes are laid on."""

    def __init__(self, scenes: Sequence[SceneOnMap]) -> None:
        try:
            own = {scene.crs: pyproj.CRS.from_wkt(scene.crs) for scene in scenes}
            self.crs = _plane(scenes, own)
            self._to = {wkt: pyproj.Transformer.from_crs(crs, self.crs, always_xy=True) for wkt, crs in own.items()}
        except (CRSError, ProjError, RuntimeError) as error:
            raise SampleError(
                f"scenes {', '.join(str(scene.path) for scene in scenes[:3])} cannot be laid on one map ({error}); are "
                "their reference systems local grids? gdalwarp -t_srs EPSG:... IN.tif OUT.tif"
            ) from error

    def outlines(self, scene: SceneOnMap, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, 4 * STEPS, 2) x, y in metres of points along the edges of windows, (N, 4) y1, x1, y2, x2 in pixels.

        Raises SampleError for a scene that is not on this plane.
        """
        way = np.arange(STEPS) / STEPS
        zero, one = np.zeros(STEPS), np.ones(STEPS)
        across = np.concatenate([way, one, 1 - way, zero])
        down = np.concatenate([zero, way, one, 1 - way])
        top, left, bottom, right = (windows[:, k : k + 1].astype(np.float64) for k in range(4))
        x, y = applied(scene.transform, left + across * (right - left), top + down * (bottom - top))
        x, y = self._to[scene.crs].transform(x, y)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise SampleError(
                f"scene {scene.path} is too far from the others to be laid on one map with them ({self.crs.name}); "
                "make two datasets of them"
            )
        return np.stack([x, y], axis=-1)


def _plane(scenes: Sequence[SceneOnMap], own: Mapping[str, pyproj.CRS]) -> pyproj.CRS:
    first = next(iter(own.values()))
    metric = first.is_projected and all(axis.unit_name == "metre" for axis in first.axis_info)
    if metric and all(crs == first for crs in own.values()):
        return first
    middles = [
        geopandas.GeoSeries([shapely.Point(s.transform @ (s.width / 2, s.height / 2))], crs=own[s.crs]).to_crs(4326)[0]
        for s in scenes
    ]
    return geopandas.GeoSeries(middles, crs=4326).estimate_utm_crs()


def by_block(
    outlines: Sequence[NDArray[np.float64]], side: float, shares: Sequence[float], seed: int, dataset: str
) -> list[list[str | None]]:
    """The split of each patch of each scene, None for one that reaches into blocks of two.

    outlines: of a scene's patches, (N, points, 2), metres. side: of a block, metres.
    Raises SampleError for blocks smaller than a patch, or fewer than splits.
    """
    found: list[list[set[Block]]] = []
    weights: dict[Block, float] = {}
    for outline in outlines:
        low, high = outline.min(axis=1, initial=np.inf), outline.max(axis=1, initial=-np.inf)
        if len(outline) and (largest := float((high - low).max())) > side:
            raise SampleError(
                f"datasets.{dataset}.split: a block of {side:g} m is smaller than a patch, which is {largest:.0f} m of "
                "ground; make blocks some ten patches wide"
            )
        first = np.floor(low / side + TINY).astype(np.int64)
        last = np.ceil(high / side - TINY).astype(np.int64) - 1
        found.append(
            [
                {(x, y) for x in (x1, x2) for y in (y1, y2)}
                for (x1, y1), (x2, y2) in zip(first.tolist(), last.tolist(), strict=True)
            ]
        )
        for blocks in found[-1]:
            for block in blocks:
                weights[block] = weights.get(block, 0.0) + 1 / len(blocks)
    if len(weights) < len(SPLITS):
        raise SampleError(
            f"datasets.{dataset}.split: the patches with polygons lie in {len(weights)} blocks of {side:g} m, fewer "
            "than there are splits; make blocks smaller"
        )
    dealt = deal(weights, shares, seed)
    return [[_one({dealt[block] for block in blocks}) for blocks in patches] for patches in found]


def deal(weights: Mapping[Block, float], shares: Sequence[float], seed: int) -> dict[Block, str]:
    """Block -> split, by ``weights``: each in random order to the split that lacks most of its share; none goes
    without."""
    order = sorted(weights)
    named_rng(seed, "blocks").shuffle(order)
    total = sum(weights.values())
    lacks = {split: share * total for split, share in zip(SPLITS, shares, strict=True)}
    dealt, served = dict[Block, str](), set[str]()
    for place, block in enumerate(order):
        without = [split for split in SPLITS if split not in served]
        split = max(without if len(order) - place <= len(without) else SPLITS, key=lambda name: lacks[name])
        dealt[block] = split
        served.add(split)
        lacks[split] -= weights[block]
    return dealt


def by_scene(
    outlines: Sequence[NDArray[np.float64]], borders: Sequence[NDArray[np.float64]], splits: Sequence[str]
) -> list[list[str | None]]:
    """The split of each patch of each scene, None for one that shows ground of a scene of another split.

    outlines: of a scene's patches; borders: of the scene itself, (1, points, 2). splits: of each scene.
    """
    whole = shapely.polygons(np.concatenate(borders))
    tree = shapely.STRtree(whole)
    found: list[list[str | None]] = []
    for outline, own in zip(outlines, splits, strict=True):
        patches = shapely.polygons(outline) if len(outline) else np.empty(0, object)
        taken = np.zeros(len(patches), np.bool_)
        for patch, scene in tree.query(patches, predicate="intersects").T.tolist():
            shared = splits[scene] != own and shapely.area(shapely.intersection(patches[patch], whole[scene]))
            taken[patch] |= shared > TINY * shapely.area(patches[patch])
        found.append([None if lost else own for lost in taken.tolist()])
    return found


def _one(splits: set[str]) -> str | None:
    return splits.pop() if len(splits) == 1 else None
