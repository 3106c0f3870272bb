"""Patches of scenes on a map, each with the polygons that reach into it: what `geo` writes sentences about.

Patches lie as in other datasets (patches.py). One that no polygon reaches into is never read: whether anyone looked
for objects there is not known. A polygon covers the pixels whose centres lie in it; where a scene has no data, nothing
of it is seen, and that part is cut off as by a border.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from benchmark.data.errors import SampleError, raise_all
from benchmark.data.images.scene_files import Scene, open_scene
from benchmark.data.samples import SPLITS
from benchmark.datasets import coco_rules
from benchmark.datasets.assemble import NamedScene, Origin
from benchmark.datasets.class_masks import Patch, plain
from benchmark.datasets.doubles import Doubles, Masks, find_doubles, told
from benchmark.datasets.geo import GeoConfig
from benchmark.datasets.geo_blocks import Ground, SceneOnMap, applied, by_block, by_scene
from benchmark.datasets.geo_polygons import OnGround, Polygons, read_polygons
from benchmark.datasets.patches import instance_regions, scaled, windows
from benchmark.expressions.writer import Region

logger = logging.getLogger(__name__)


class SceneCut(NamedTuple):
    """A scene's patches that polygons reach into. ends: of their names. corners: (N, 2) first row and column.
    reaching: of each, the places of polygons whose boxes it meets. pixels: (P, 4) of every polygon, the pixels that it
    may cover, x1, y1, x2, y2, right and bottom exclusive. splits: of each, None for one that is left out."""

    scene: SceneOnMap
    ground: OnGround
    pixels: NDArray[np.int64]
    ends: list[str]
    corners: NDArray[np.int64]
    reaching: list[NDArray[np.int64]]
    splits: list[str | None]

    def mask(self, place: int, number: int, side: int) -> NDArray[np.bool_]:
        """(side, side) of a polygon in a patch."""
        row, column = self.corners[number].tolist()
        here = self.scene.transform @ Affine.translation(column, row)
        return rasterize([self.ground.shapes[place]], out_shape=(side, side), transform=here, dtype=np.uint8) > 0


class LaidPatches:
    """The patches of all scenes, laid but not read. categories: of the polygons in them."""

    def __init__(self, config: GeoConfig, dataset: str, polygons: Polygons, cuts: Sequence[SceneCut]) -> None:
        self._config, self._dataset = config, dataset
        self._polygons, self._cuts = polygons, cuts
        inside = {place for cut in cuts for places in cut.reaching for place in places.tolist()}
        self.categories = sorted({polygons.names[place] for place in inside})

    def scenes(self) -> Iterator[NamedScene]:
        """The patches, read as they are asked for; at the end it is logged what became no sample."""
        drawn, seen, sampled, blank = set[int](), set[int](), set[int](), 0
        for cut in self._cuts:
            if not any(cut.splits):
                continue
            with open_scene(cut.scene.path, self._config.bands) as scene:
                for number, split in enumerate(cut.splits):
                    if split is None:
                        continue
                    named = self._patch(scene, cut, number, split, drawn, seen, sampled)
                    blank += named is None
                    if named is not None:
                        yield named
        if blank:
            logger.info(f"{self._dataset}: {blank:,} patches with polygons have no data and are left out")
        if hidden := len(drawn - seen):
            logger.warning(
                f"{self._dataset}: {hidden:,} polygons lie where their scenes have no data, and are left out"
            )
        coco_rules.tell(self._dataset, {"instances": len(seen), "samples": len(sampled), "crowds": 0, "boxes": 0})

    def _patch(
        self,
        scene: Scene,
        cut: SceneCut,
        number: int,
        split: str,
        drawn: set[int],
        seen: set[int],
        sampled: set[int],
    ) -> NamedScene | None:
        """A patch with its regions; None for one without data. ``drawn``, ``seen``, ``sampled``: get the places of its
        polygons, of those that the scene shows, and of those that are a sample."""
        config, (row, column), side = self._config, cut.corners[number].tolist(), self._config.patch
        picture = scene.read(row, column, side, side)
        if picture.known is not None and not picture.known.any():
            drawn.update(cut.reaching[number].tolist())
            return None
        here = cut.scene.transform @ Affine.translation(column, row)
        regions: list[Region] = []
        for place in cut.reaching[number].tolist():
            mask = cut.mask(place, number, side)
            x1, y1, x2, y2 = cut.pixels[place].tolist()
            whole = x1 >= column and y1 >= row and x2 <= column + side and y2 <= row + side
            drawn.update([place] * bool(mask.any()))
            if picture.known is not None:
                whole = whole and not (mask & ~picture.known).any()
                mask &= picture.known
            found = instance_regions(mask, self._polygons.names[place], config, allowed=whole or not config.whole)
            regions += found
            seen.update([place] * bool(found))
            sampled.update([place] * any(region.target for region in found))
        pixels = scaled(picture.pixels, config)
        there = here @ Affine.scale(side / pixels.shape[0])
        text = " ".join(repr(number) for number in there[:6])
        origin = Origin(cut.scene.name, row, column, side, _named(scene), text)
        name = f"{_plain(cut.scene)}{cut.ends[number]}"
        return NamedScene(name, split, Patch(pixels, regions), bands=scene.choice, origin=origin)


def lay_patches(config: GeoConfig, dataset: str) -> LaidPatches:
    """Find scenes and polygons, lay patches and give each its split; nothing of a scene's pixels is read.

    Raises FileNotFoundError or SampleError, naming file, value and remedy.
    """
    scenes = _on_map(config.files(config.scenes), config)
    splits = _split_of(scenes, config, dataset) if config.split.by == "scene" else None
    if splits is not None:
        scenes = [scene for scene in scenes if scene.name in splits]
    polygons = read_polygons(config.files(config.polygons), config.layer, config.category, dataset)
    cuts = [_cut(scene, polygons.on(scene.crs, scene.path), config) for scene in scenes]
    _tell_places(cuts, polygons, dataset)
    cuts = _once(cuts, polygons, config.patch, dataset)
    ground = Ground(scenes)
    outlines = [ground.outlines(cut.scene, _squares(cut.corners, config.patch)) for cut in cuts]
    if splits is None:
        assert config.split.block is not None  # GeoSplit
        dealt = by_block(outlines, config.split.block, config.split.shares, config.seed, dataset)
        why = "reach over a border between blocks of two splits; larger blocks lose fewer"
    else:
        borders = [ground.outlines(scene, np.array([[0, 0, scene.height, scene.width]])) for scene in scenes]
        dealt = by_scene(outlines, borders, [splits[scene.name] for scene in scenes])
        why = "show ground that a scene of another split shows too"
    lost, whole = sum(own.count(None) for own in dealt), sum(map(len, dealt))
    if lost:
        logger.warning(f"{dataset}: {lost:,} of {whole:,} patches with polygons are left out: they {why}")
    laid = [cut._replace(splits=own) for cut, own in zip(cuts, dealt, strict=True)]
    return LaidPatches(config, dataset, polygons, laid)


def _on_map(files: Sequence[Path], config: GeoConfig) -> list[SceneOnMap]:
    """Where each scene is. Raises SampleError, FileNotFoundError for those that cannot be read or are on no map."""
    found, faults, names = list[SceneOnMap](), list[SampleError | FileNotFoundError](), dict[str, Path]()
    for path in files:
        try:
            with open_scene(path, config.bands) as scene:
                crs, transform = scene.file.crs, scene.file.transform
                if not crs or transform.is_identity:
                    raise SampleError(
                        f"scene {path} does not say where on the map it is; gdal_translate -a_srs EPSG:... -a_ullr ... "
                        "says it, and kind: coco and kind: masks need no map"
                    )
                name = path.relative_to(config.root).as_posix()
                found.append(SceneOnMap(path, name, scene.height, scene.width, crs.to_wkt(), transform))
                if (other := names.setdefault(_plain(found[-1]), path)) != path:
                    raise SampleError(f"{path} and {other} would both be called {_plain(found[-1])}; rename one")
        except (SampleError, FileNotFoundError) as error:
            faults.append(error)
    raise_all(faults, f"scenes of {config.root} cannot be used", "correct them, or leave them out")
    return found


def _plain(scene: SceneOnMap) -> str:
    """What a scene's patches are called by."""
    return plain(Path(scene.name).with_suffix("").as_posix().replace("/", "-"))


def _named(scene: Scene) -> str:
    """A scene's reference system as briefly as it can be said."""
    code = scene.file.crs.to_epsg()
    return f"EPSG:{code}" if code is not None else str(scene.file.crs.to_wkt())


def _split_of(scenes: Sequence[SceneOnMap], config: GeoConfig, dataset: str) -> dict[str, str]:
    """The split of each scene that is in one, by name; it is logged how many are in none."""
    found: dict[str, str] = {}
    for split in SPLITS:
        for path in config.files(config.split.scenes_of(split)):
            name = path.relative_to(config.root).as_posix()
            if (other := found.setdefault(name, split)) != split:
                raise SampleError(f"datasets.{dataset}.split: {path} is in {other} and in {split}; leave it in one")
    if unknown := sorted(set(found) - {scene.name for scene in scenes}):
        raise SampleError(
            f"datasets.{dataset}.split: {unknown[0]} is none of datasets.{dataset}.scenes "
            f"({', '.join(config.scenes)}); name it there as well"
        )
    if left := len(scenes) - len(found):
        logger.warning(f"{dataset}: {left:,} of {len(scenes):,} scenes are in no split and are left out")
    return found


def _cut(scene: SceneOnMap, ground: OnGround, config: GeoConfig) -> SceneCut:
    """The patches of a scene that polygons reach into, of no split yet."""
    pixels = _pixels(scene, ground.boxes)
    size = np.array([scene.width, scene.height])
    inside = np.flatnonzero(
        ((pixels[:, :2] < size) & (pixels[:, 2:] > 0) & (pixels[:, :2] < pixels[:, 2:])).all(axis=1)
    )
    laid = [
        (end, rows.start, columns.start)
        for end, (rows, columns) in windows(scene.height, scene.width, config, scene.path)
    ]
    corners = np.array([corner for _, *corner in laid], np.int64)
    top, left, bottom, right = _squares(corners, config.patch).T
    # a half less on each side: boxes that only touch share no pixel
    tree = shapely.STRtree(shapely.box(*(pixels[inside] + [0.25, 0.25, -0.25, -0.25]).T))
    patches, found = tree.query(shapely.box(left + 0.25, top + 0.25, right - 0.25, bottom - 0.25))
    reached = np.unique(patches)
    order = np.lexsort((found, patches))
    reaching = np.split(inside[found[order]], np.searchsorted(patches[order], reached)[1:]) if len(reached) else []
    ends = [laid[place][0] for place in reached.tolist()]
    return SceneCut(scene, ground, pixels, ends, corners[reached], reaching, [None] * len(ends))


def _pixels(scene: SceneOnMap, boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N, 4) x1, y1, x2, y2 of the pixels whose centres may lie in boxes of the map; nothing for those of no place."""
    placed: NDArray[np.bool_] = np.asarray(np.isfinite(boxes).all(axis=1))
    x1, y1, x2, y2 = np.where(placed[:, None], boxes, 0.0).T
    x, y = applied(~scene.transform, np.stack([x1, x1, x2, x2]), np.stack([y1, y2, y1, y2]))
    far = 2 * max(scene.height, scene.width)
    edges = [np.ceil(x.min(0) - 0.5), np.ceil(y.min(0) - 0.5), np.floor(x.max(0) + 0.5), np.floor(y.max(0) + 0.5)]
    found = np.stack(edges, axis=1).clip(-far, far).astype(np.int64)
    found[~placed] = 0
    return found


def _squares(corners: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """(N, 4) y1, x1, y2, x2 of patches."""
    corners = corners.reshape(-1, 2)
    return np.concatenate([corners, corners + side], axis=1)


def _once(cuts: Sequence[SceneCut], polygons: Polygons, side: int, dataset: str) -> list[SceneCut]:
    """Cuts without polygons that have the pixels of an earlier one with the same category, as those have that are drawn
    twice; it is logged how many are."""
    kept, again, alike = [], dict[int, int](), dict[tuple[int, int], None]()
    for cut in cuts:
        doubles = _find_doubles(cut, polygons.names, side)
        again |= doubles.again
        alike |= dict.fromkeys(doubles.alike)
        places = list(doubles.again)
        kept.append(cut._replace(reaching=[reaching[~np.isin(reaching, places)] for reaching in cut.reaching]))
    named, near = (
        [f"{polygons.feature(other)} as {polygons.feature(one)}" for one, other in pairs]
        for pairs in ([(one, other) for other, one in again.items()], list(alike))
    )
    for line in told(named, near, len(polygons.names), "polygons"):
        logger.warning(f"{dataset}: {line}")
    return kept


def _find_doubles(cut: SceneCut, names: Sequence[str], side: int) -> Doubles:
    """Polygons of a scene that are drawn twice, by place."""
    if not cut.reaching:
        return Doubles({}, [])
    places = np.unique(np.concatenate(cut.reaching)).tolist()
    patches: dict[int, list[int]] = {place: [] for place in places}
    for number, reaching in enumerate(cut.reaching):
        for place in reaching.tolist():
            patches[place].append(number)

    def masks(one: int, other: int) -> Iterator[Masks]:
        both = places[one], places[other]
        for number in sorted({*patches[both[0]], *patches[both[1]]}):
            yield cut.mask(both[0], number, side), cut.mask(both[1], number, side)

    found = find_doubles(cut.pixels[places], [names[place] for place in places], masks)
    again = {places[other]: places[one] for other, one in found.again.items()}
    return Doubles(again, [(places[one], places[other]) for one, other in found.alike])


def _tell_places(cuts: Sequence[SceneCut], polygons: Polygons, dataset: str) -> None:
    """Log polygons outside every scene and scenes without any. Raises SampleError where none lies in a scene."""
    inside = {place for cut in cuts for places in cut.reaching for place in places.tolist()}
    whole, bare = len(polygons.names), sum(not cut.reaching for cut in cuts)
    if not inside:
        raise SampleError(
            f"datasets.{dataset}: none of the {whole:,} polygons lies in any of the {len(cuts):,} scenes; are they of "
            "the same place, and are the reference systems that their files give theirs?"
        )
    if left := whole - len(inside):
        logger.warning(f"{dataset}: {left:,} of {whole:,} polygons lie in no patch of any scene and are left out")
    if bare:
        logger.warning(f"{dataset}: {bare:,} of {len(cuts):,} scenes have no polygon and are left out")
