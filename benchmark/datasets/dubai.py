"""Real satellite imagery of Dubai with semantic masks, cut into patches; connected regions of one class become samples.

Source: "Semantic segmentation of aerial imagery", Humans in the Loop with the Mohammed Bin Rashid Space Center, CC0
1.0. Every tile is one scene in nine neighbouring parts, so whole tiles are split, never their parts.

Patches: along each axis as many as leave at most a quarter of a patch uncovered, spread evenly from edge to edge, so
that none is padded and none lies over the border. A part smaller than a patch is an error.
Regions: connected (8 neighbours) pixels of one class within a patch; pixels of no class (unlabeled, stray colours)
belong to nothing.
* A region smaller than ``speck`` is noise of the annotation: ignored altogether.
* A region is a *sample* if its area lies in [min_area, max_area]; if a disc of diameter ``min_width`` fits into it
  somewhere; and if it reaches at least ``min_reach`` into the patch from every border that it touches. The others are
  crumbs, slivers and backgrounds: no sentence is written for them, but none may be true of them either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import ndimage

from benchmark.datasets.assemble import NamedScene, write_scenes
from benchmark.expressions import Region
from benchmark.samples import SPLITS, SampleError, read_image

NAME = "dubai"
SOURCE = "https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery"
LICENCE = "CC0-1.0"
CITATION = "Humans in the Loop and MBRSC, Semantic segmentation of aerial imagery, 2020"
DOWNLOAD = (
    f'download "Semantic segmentation of aerial imagery" (Humans in the Loop with MBRSC, licence {LICENCE}) from '
    f"{SOURCE} and unpack it so that '{{root}}/Tile 1/images/image_part_001.jpg' and "
    "'{root}/Tile 1/masks/image_part_001.png' exist, or set datasets.dubai.root in params.yaml to the folder that "
    "holds 'Tile 1'"
)

CLASSES = {  # the colours in the masks, measured; the published classes.json names others
    "land": 0x8429F6,
    "water": 0xE2A929,
    "building": 0x3C1098,
    "vegetation": 0xFEDD3A,
    "road": 0x6EC1E4,
}  # 0x9B9B9B is 'unlabeled'; a few pixels are 0x000000
SLACK = 0.25  # of a patch may stay uncovered along an axis


class DubaiConfig(BaseModel):
    """Where the tiles are, how they are cut and which tile is in which split.

    Areas are shares of a patch's pixels, lengths shares of its side, unless they say pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    patch: int = Field(default=256, ge=32)  # pixels
    overlap: int = Field(default=0, ge=0)  # pixels shared by neighbours, at least
    train: tuple[int, ...] = (2, 4, 5, 6)
    val: tuple[int, ...] = (3,)
    test: tuple[int, ...] = (1,)
    speck: float = Field(default=0.0005, ge=0, le=1)
    min_area: float = Field(default=0.01, gt=0, le=1)
    max_area: float = Field(default=0.7, gt=0, le=1)
    min_width: float = Field(default=0.03, ge=0, le=1)
    min_reach: float = Field(default=0.08, ge=0, le=1)
    per_region: int = Field(default=2, ge=1)
    per_image: int = Field(default=6, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> DubaiConfig:
        tiles = [*self.train, *self.val, *self.test]
        twice = sorted({tile for tile in tiles if tiles.count(tile) > 1})
        if twice:
            raise ValueError(f"tiles {twice} are in more than one split; one tile is one scene: put it into one only")
        if self.overlap >= self.patch:
            raise ValueError(f"overlap {self.overlap} is not smaller than patch {self.patch}")
        if not self.speck <= self.min_area < self.max_area:
            raise ValueError(f"need speck <= min_area < max_area, not {self.speck}, {self.min_area}, {self.max_area}")
        return self


class Patch(NamedTuple):
    """image: (H, W, 3) uint8; regions: those of the patch, samples or not."""

    image: NDArray[np.uint8]
    regions: list[Region]


def build(folder: Path, config: DubaiConfig) -> None:
    """Cut the tiles of ``config`` into the dataset at ``folder``, all or nothing.

    The same config and tiles give the same bytes. Raises FileNotFoundError for a missing root, tile or half of a pair,
    SampleError for an image that is truncated or of another size than its mask, each naming the file and what to do.
    """
    write_scenes(
        folder, _scenes(config), name=NAME, source=SOURCE, licence=LICENCE, citation=CITATION, seed=config.seed,
        per_region=config.per_region, per_image=config.per_image,
    )  # fmt: skip


def _scenes(config: DubaiConfig) -> Iterator[NamedScene]:
    root = Path(config.root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist: {DOWNLOAD.format(root=root)}")
    pairs = [(split, tile, find_pairs(root, tile)) for split in SPLITS for tile in getattr(config, split)]
    for split, tile, parts in pairs:
        for image_path, mask_path in parts:
            image, labels = read_image(image_path), read_labels(mask_path)
            if image.shape[:2] != labels.shape:
                raise SampleError(
                    f"{mask_path} is {labels.shape[0]}x{labels.shape[1]} (height x width), its image {image_path} is "
                    f"{image.shape[0]}x{image.shape[1]}; they are no pair: {DOWNLOAD.format(root=root)}"
                )
            if min(labels.shape) < config.patch:
                size = f"{labels.shape[0]}x{labels.shape[1]}"
                raise SampleError(f"{image_path} is {size}, smaller than a patch; set datasets.dubai.patch to less")
            part = image_path.stem.replace("image_part_", "part")
            for y in starts(labels.shape[0], config.patch, config.overlap):
                for x in starts(labels.shape[1], config.patch, config.overlap):
                    window = (slice(y, y + config.patch), slice(x, x + config.patch))
                    name = f"tile{tile}-{part}-y{y:04d}-x{x:04d}"
                    yield NamedScene(name, split, Patch(image[window], find_regions(labels[window], config)))


def find_pairs(root: Path, tile: int) -> list[tuple[Path, Path]]:
    """(image, mask) of each part of a tile, in order."""
    folder = root / f"Tile {tile}"
    images = {path.stem: path for path in sorted((folder / "images").glob("*.jpg"))}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*.png"))}
    if not images and not masks:
        raise FileNotFoundError(f"{folder} has no images: {DOWNLOAD.format(root=root)}")
    for name in sorted(images.keys() ^ masks.keys()):
        missing = folder / "masks" / f"{name}.png" if name in images else folder / "images" / f"{name}.jpg"
        raise FileNotFoundError(
            f"{missing} does not exist, the other half of its pair does: {DOWNLOAD.format(root=root)}"
        )
    return [(images[name], masks[name]) for name in sorted(images)]


def read_labels(path: Path) -> NDArray[np.uint8]:
    """(H, W): 1 + the index in CLASSES, 0 for pixels of no class. Palette and RGB files read the same."""
    red, green, blue = np.moveaxis(read_image(path).astype(np.int32), -1, 0)
    colours = (red << 16) | (green << 8) | blue
    labels = np.zeros(colours.shape, np.uint8)
    for index, colour in enumerate(CLASSES.values(), start=1):
        labels[colours == colour] = index
    return labels


def starts(size: int, patch: int, overlap: int) -> list[int]:
    """First pixel of each patch along an axis of ``size`` >= ``patch`` pixels."""
    gaps = max(0, int(np.ceil((size - patch - SLACK * patch) / (patch - overlap))))
    return [round(k * (size - patch) / gaps) for k in range(gaps + 1)] if gaps else [(size - patch) // 2]


def find_regions(labels: NDArray[np.uint8], config: DubaiConfig) -> list[Region]:
    """The regions of a (patch, patch) window of labels, by class and then from top to bottom."""
    regions = []
    for index, category in enumerate(CLASSES, start=1):
        parts, _ = ndimage.label(labels == index, structure=np.ones((3, 3)))
        sizes = np.bincount(parts.ravel())
        for part in np.flatnonzero(sizes >= max(1.0, config.speck * labels.size)).tolist():
            if part > 0:  # 0: the other classes
                region = Region(parts == part, category)
                regions.append(replace(region, target=is_sample(region, config)))
    return regions


def is_sample(region: Region, config: DubaiConfig) -> bool:
    """Whether a region is neither too small, nor nearly everything, nor a sliver (the rule at the top of this file)."""
    side = region.mask.shape[0]
    if not config.min_area <= region.area / region.mask.size <= config.max_area:
        return False
    x1, y1, x2, y2 = region.bbox
    touching = ((x1 == 0, x2), (y1 == 0, y2), (x2 == side, side - x1), (y2 == side, side - y1))
    if any(touches and reach < config.min_reach * side for touches, reach in touching):
        return False
    # one pixel of surroundings where there are any: the patch's border is no edge of a region that goes on beyond it
    crop = region.mask[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1]
    return bool(crop.all() or 2 * ndimage.distance_transform_edt(crop).max() >= config.min_width * side)
