"""Whether masks lie on their objects: the contrast of the image along the masks' contours, as they are and turned.

An image that was turned or mirrored without its masks has them beside its objects, and no reader can know. But objects
have edges: the gradient along a mask's contour, as a multiple of the mean gradient around, is above 1 where the mask
lies on its object and about 1 anywhere else, on calm water as in a town. So an image is a case if its contours have
much more of it in another of the eight orientations than as they are. And where all images share one fault, many weak
signs are one strong one: the mean over images of what an orientation gains.

Masks of a patch cannot be compared with those of the whole image: of images that were cut into patches after they were
turned the wrong way only square ones in one patch are found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmark.data.errors import SampleError
from benchmark.data.images import read_image
from benchmark.data.images.raster import turn
from benchmark.data.rle import decode_mask

LOOKED_AT = 1_000  # images, in order of SHA-256 of the name: more would not change what is said
MASKS = 20  # of an image
BLUR, AROUND = 1.5, 31  # pixels: of the gradient, and the side of the square whose mean it is compared with
HIGHEST = 4.0  # a multiple above this counts as this: one bright roof is not all
FEWEST = 60  # pixels of contour
ORIENTATIONS = {  # as the tag's values (benchmark/data/images/raster.py)
    2: "mirrored", 3: "turned by 180°", 4: "flipped", 5: "mirrored along the diagonal", 6: "turned by 90° clockwise",
    7: "mirrored along the other diagonal", 8: "turned by 90° counter-clockwise",
}  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """Of one image. contrast: orientation (1: as it is) -> of the contours; those of 90° of square images only.
    pixels: of the contours."""

    contrast: Mapping[int, float]
    pixels: int


def chosen(names: Sequence[str]) -> list[str]:
    """The images that are looked at, in the order given."""
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    kept = set(order[:LOOKED_AT])
    return [name for name in names if name in kept]


def measure_placement(path: Path, codes: Sequence[str], height: int, width: int) -> Placement | None:
    """Of an image and its masks; None if it cannot be read, has another size or hardly any contour."""
    contour = np.zeros((height, width), np.bool_)
    for code in dict.fromkeys(codes[:MASKS]):
        mask = decode_mask(code, height, width)
        contour |= mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), border_value=1)
    if (pixels := int(contour.sum())) < FEWEST:
        return None
    try:
        image = read_image(path)
    except (SampleError, FileNotFoundError):
        return None
    if image.shape[:2] != (height, width):
        return None
    steep = ndimage.gaussian_gradient_magnitude(image.mean(axis=-1, dtype=np.float32), BLUR)
    relative = np.minimum(steep / (ndimage.uniform_filter(steep, AROUND) + 1e-3), HIGHEST)
    turns = range(1, 9) if height == width else range(1, 5)
    return Placement({way: float(relative[turn(contour, way)].mean()) for way in turns}, pixels)
