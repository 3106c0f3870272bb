"""Large images cut into patches, and what of a patch may become a sample: shared by `coco`, `geo`, `masks` and `dubai`.

Patches: along each axis as many as leave at most a quarter of a patch uncovered, spread evenly from edge to edge, so
that none is padded and none lies over the border. An image smaller than a patch is an error.

A region of a patch (an instance, or connected pixels of one class) is a *sample* if its area lies in [min_area,
max_area]; if a disc of diameter ``min_width`` fits into it somewhere; and if it reaches at least ``min_reach`` into the
patch from every border that it touches. The others are crumbs, slivers and backgrounds: no sentence is written for
them, but none may be true of them either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, PositiveInt, model_validator
from scipy import ndimage

from benchmark.data.errors import SampleError
from benchmark.datasets.spec import DatasetConfig
from benchmark.expressions.regions import pieces
from benchmark.expressions.writer import Region

SLACK = 0.25  # of a patch may stay uncovered along an axis


class PatchConfig(DatasetConfig):
    """How images are cut, which regions become samples, and how many sentences are written of each.

    Areas are shares of a patch's pixels, lengths shares of its side, unless they say pixels. patch: null leaves images
    whole, and where they are. resize: the side that patches or windows are scaled to, pixels; every share is of the
    same window before and after. source, licence, citation: said in the dataset's manifest. multiple, absent: so many
    expressions an image, at most, of several regions at once ("all ships") and of no target ("the ship" where
    there is none: an empty mask). order: whether "the second ship from the left" may be said.
    """

    WHOLE: ClassVar[bool] = True  # whether patch may be null

    root: str
    source: str = "own data"
    licence: str
    citation: str
    patch: int | None = Field(default=256, ge=32)  # pixels
    overlap: int = Field(default=0, ge=0)  # pixels shared by neighbours, at least
    resize: int | None = Field(default=None, ge=32)
    speck: float = Field(default=0.0005, ge=0, le=1)
    min_area: float = Field(default=0.01, gt=0, le=1)
    max_area: float = Field(default=0.7, gt=0, le=1)
    min_width: float = Field(default=0.03, ge=0, le=1)
    min_reach: float = Field(default=0.08, ge=0, le=1)
    per_region: PositiveInt = 2
    per_image: PositiveInt | None = 6
    multiple: int = Field(default=0, ge=0)
    absent: int = Field(default=0, ge=0)
    order: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_patches(self) -> PatchConfig:
        if self.patch is not None and self.overlap >= self.patch:
            raise ValueError(f"overlap {self.overlap} is not smaller than patch {self.patch}")
        if self.patch is None and self.resize is not None:
            raise ValueError("resize makes new images, patch: null leaves them as they are; set one of them")
        if not self.speck <= self.min_area < self.max_area:
            raise ValueError(f"need speck <= min_area < max_area, not {self.speck}, {self.min_area}, {self.max_area}")
        return self

    @property
    def images_root(self) -> Path | None:
        """Images that are cut are written anew; whole ones stay where they are."""
        return Path(self.root) if self.patch is None else None

    def writing(self) -> dict[str, Any]:
        """What write_scenes() is told."""
        names = "source licence citation seed per_region per_image multiple absent order".split()
        return {**{name: getattr(self, name) for name in names}, "images": self.images_root}


class InstancePatchConfig(PatchConfig):
    """Patches with instances. whole: whether one must be in the window as a whole to become a sample."""

    whole: bool = False


Window = tuple[slice, slice]


def windows(height: int, width: int, config: PatchConfig, path: Path) -> Iterator[tuple[str, Window]]:
    """The patches of an image: the end of each one's name, and its rows and columns.

    Raises SampleError for an image smaller than a patch.
    """
    if config.patch is None:
        yield "", (slice(0, height), slice(0, width))
        return
    if min(height, width) < config.patch:
        raise SampleError(
            f"{path} is {height}x{width}, smaller than a patch of {config.patch}; set patch of this dataset to less in "
            f"params.yaml, or {'to null for images as they are' if config.WHOLE else 'leave it out'}"
        )
    for y in starts(height, config.patch, config.overlap):
        for x in starts(width, config.patch, config.overlap):
            yield f"-y{y:04d}-x{x:04d}", (slice(y, y + config.patch), slice(x, x + config.patch))


def starts(size: int, patch: int, overlap: int) -> list[int]:
    """First pixel of each patch along an axis of ``size`` >= ``patch`` pixels."""
    gaps = max(0, int(np.ceil((size - patch - SLACK * patch) / (patch - overlap))))
    return [round(k * (size - patch) / gaps) for k in range(gaps + 1)] if gaps else [(size - patch) // 2]


def scale_image(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) of (H, W, 3), smoothed where it shrinks."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def scale_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """(side, side) of (H, W): the pixels that it covers by half; where there are none, those that it covers most."""
    covered = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((side, side), Image.Resampling.BOX))
    return covered >= min(0.5, covered.max())


def scaled(pixels: NDArray[np.uint8], config: PatchConfig) -> NDArray[np.uint8]:
    """A patch's pixels at the side that is asked for."""
    return pixels if config.resize is None else scale_image(pixels, config.resize)


def scaled_region(region: Region, config: PatchConfig) -> Region:
    """A region of a patch at the side that is asked for; whether it is a sample is judged there, too."""
    if config.resize is None:
        return region
    mask = scale_mask(region.mask, config.resize)
    return replace(region, mask=mask, target=region.target and is_sample(mask, config))


def instance_regions(
    mask: NDArray[np.bool_], category: str, config: PatchConfig, *, allowed: bool = True, crowd: bool = False
) -> list[Region]:
    """What an instance's mask in a patch is, scaled: nothing, a region, or of a crowd the whole and its pieces.

    allowed: whether it may become a sample at all.
    """
    if not mask.any():
        return []
    if config.resize is not None:
        mask = scale_mask(mask, config.resize)
    if crowd:
        together = Region(mask, category, target=False)
        return [together, *pieces(together)]
    return [Region(mask, category, target=allowed and is_sample(mask, config))]


def is_sample(mask: NDArray[np.bool_], config: PatchConfig) -> bool:
    """Whether a region (its mask in a patch) is neither too small, nor nearly everything, nor a sliver."""
    region = Region(mask, "")
    (height, width), (x1, y1, x2, y2) = mask.shape, region.bbox
    if not config.min_area <= region.area / mask.size <= config.max_area:
        return False
    touching = [(x1 == 0, x2, width), (y1 == 0, y2, height)]
    touching += [(x2 == width, width - x1, width), (y2 == height, height - y1, height)]
    if any(touches and reach < config.min_reach * side for touches, reach, side in touching):
        return False
    # one pixel of surroundings where there are any: the patch's border is no edge of a region that goes on beyond it
    crop = mask[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1]
    widest = 2 * ndimage.distance_transform_edt(crop).max() if not crop.all() else np.inf
    return bool(widest >= config.min_width * min(height, width))
