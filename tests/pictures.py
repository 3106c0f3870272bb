"""The drawn scenes that every fake of a dataset is made of, and their masks in the forms that files have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmark.data.rle import mask_bbox
from benchmark.datasets.synthetic import draw_scene
from benchmark.expressions.writer import Expression, Region, write_expressions

SPLITS = ("train", "val", "test")
SIDE = 96


class Picture(NamedTuple):
    """A drawn scene of a split: pixels, regions, and two sentences a region at most."""

    split: str
    number: int
    image: NDArray[np.uint8]
    regions: list[Region]
    expressions: list[Expression]


def pictures(scenes: int, side: int = SIDE, seed: int = 0) -> Iterator[Picture]:
    """`scenes` scenes of each split, each with at least one expression."""
    for index, split in enumerate(SPLITS):
        number = attempt = 0
        while number < scenes:
            rng = np.random.default_rng([seed, index, attempt])
            attempt += 1
            scene = draw_scene(rng, side)
            if expressions := write_expressions(scene.regions, rng, 2):
                yield Picture(split, number, scene.image, list(scene.regions), expressions)
                number += 1


def mask_values(mask: NDArray[np.bool_], kind: int) -> NDArray[np.uint8]:
    """A mask as a file may have it: 0/1, 0/255, softened at its border, or in colour."""
    if kind % 4 == 0:
        return mask.astype(np.uint8)
    values = mask.astype(np.uint8) * 255
    if kind % 4 == 2:
        inside = mask & np.roll(mask, 1, 0) & np.roll(mask, 1, 1)
        return np.where(mask & ~inside, 200, values).astype(np.uint8)
    return np.stack([values] * 3, axis=-1) if kind % 4 == 3 else values


def rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def segmentation_of(mask: NDArray[np.bool_], kind: int) -> Any:
    """A polygon of the box, an uncompressed code or a compressed one."""
    if kind % 3 == 0:
        x1, y1, x2, y2 = mask_bbox(mask)
        return [[x1, y1, x2, y1, x2, y2, x1, y2]]
    if kind % 3 == 2:
        return rle(mask)
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *changes.tolist(), pixels.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if pixels[0] else runs}
