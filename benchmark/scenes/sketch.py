"""What the two drawn domains share: named colours, textures, sensor noise, and the sketch that makes a scene.

Objects are drawn one at a time with a ``Brush``; the ``Sketch`` remembers which object each pixel shows, so the regions
of a scene are disjoint and hold exactly the visible pixels. The same generator gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.expressions.writer import Region
from benchmark.scenes.brush import Colour, Image32, Stamp

# The colour words of both domains.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 40, 38),
    "blue": (40, 84, 200),
    "green": (46, 150, 60),
    "yellow": (238, 208, 48),
    "white": (243, 243, 240),
    "black": (30, 30, 34),
    "gray": (138, 140, 144),
    "orange": (240, 130, 30),
    "brown": (124, 78, 42),
    "purple": (130, 58, 168),
    "pink": (242, 140, 182),
}
VISIBLE = 0.5  # coverage from which a pixel belongs to an object


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn image, (H, W, 3) uint8, and its objects: disjoint masks of exactly their visible pixels."""

    image: NDArray[np.uint8]
    regions: list[Region]


def tint(rng: np.random.Generator, name: str, mute: float = 0.0, jitter: float = 12.0) -> NDArray[np.float64]:
    """A shade of the named colour, RGB in 0..255; mute in 0..1 pulls it towards gray."""
    base = np.array(COLOURS[name], dtype=np.float64)
    saturation = float(base.max() - base.min()) / 255
    base += mute * (base.mean() - base)
    hue = rng.uniform(-1, 1, 3) * jitter * (0.3 + 0.7 * saturation)  # a gray with a hue is no gray
    return np.clip(base + hue + rng.uniform(-jitter, jitter), 4, 251)


def choose(rng: np.random.Generator, items: Sequence[str]) -> str:
    """One of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def noise(rng: np.random.Generator, side: int, cells: Sequence[int], fall: float = 0.6) -> Image32:
    """Smooth noise, (side, side) about [-1, 1]: random grids of so many cells, each `fall` times the one before it."""
    total = np.zeros((side, side), dtype=np.float32)
    weight, weights = 1.0, 0.0
    for count in cells:
        grid = rng.uniform(-1, 1, (count + 1, count + 1)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))
        weights += weight
        weight *= fall
    return total * np.float32(1.5 / weights)


def fill(colour: Colour, side: int) -> Image32:
    """A (side, side, 3) image of one colour."""
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (side, side, 3)).copy()


def blend(image: Image32, colour: Colour, alpha: Image32) -> None:
    """Lay a colour over the image, in place, with coverage alpha (H, W) in 0..1."""
    image += alpha[..., None] * (np.asarray(colour, dtype=np.float32) - image)


def finish(image: Image32, rng: np.random.Generator, grain: float, blur: float = 0.0) -> NDArray[np.uint8]:
    """A uint8 image: light blur (0..1), then sensor noise of standard deviation `grain` (grey levels)."""
    if blur:
        soft = image.copy()
        soft[1:] += image[:-1]
        soft[:-1] += image[1:]
        soft[:, 1:] += image[:, :-1]
        soft[:, :-1] += image[:, 1:]
        soft[1:-1, 1:-1] /= 5
        soft[[0, -1]], soft[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
        image = image + np.float32(blur) * (soft - image)
    speckle = rng.standard_normal(image.shape, dtype=np.float32)
    speckle *= np.float32(grain)
    speckle += image
    return np.clip(np.rint(speckle, out=speckle), 0, 255, out=speckle).astype(np.uint8)


class Sketch:
    """A scene in the making: the image so far, and for each pixel the object it shows (0: none)."""

    def __init__(self, image: Image32) -> None:
        self.image = image
        self.side = image.shape[0]
        self.labels = np.zeros(image.shape[:2], dtype=np.int16)
        self._objects: list[tuple[str | None, str | None, int]] = []  # category (None: scenery), colour, whole area
        self._grounds = 0  # so many of them, the first, are surfaces that objects may stand on

    def window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        """Rows and columns of a box in pixels, cut to the image."""
        top, left = max(math.floor(y0), 0), max(math.floor(x0), 0)
        return slice(top, max(math.ceil(y1), top)), slice(left, max(math.ceil(x1), left))

    def free(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether no object shows within the box; a surface is none."""
        return not (self.labels[self.window(x0, y0, x1, y1)] > self._grounds).any()

    def contrast(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> float:
        """How far the mean of the box is from the colour, 0..441."""
        mean = self.image[self.window(x0, y0, x1, y1)].mean(axis=(0, 1))
        return math.dist(mean.tolist(), [float(c) for c in colour])

    def _cut(self, stamp: Stamp, dx: int = 0, dy: int = 0) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        x, y = stamp.x + dx, stamp.y + dy
        height, width = stamp.alpha.shape
        top, left = min(max(y, 0), self.side), min(max(x, 0), self.side)
        bottom, right = max(min(y + height, self.side), top), max(min(x + width, self.side), left)
        return (slice(top, bottom), slice(left, right)), (slice(top - y, bottom - y), slice(left - x, right - x))

    def shadow(self, stamp: Stamp, dx: float, dy: float, strength: float) -> None:
        """Darken the image by `strength` (0..1) under a shadow that reaches (dx, dy) px from the object."""
        steps = max(1, math.ceil(max(abs(dx), abs(dy)) / 1.5))
        pad_x, pad_y = math.ceil(abs(dx)), math.ceil(abs(dy))
        height, width = stamp.alpha.shape
        reach = np.zeros((height + 2 * pad_y, width + 2 * pad_x), dtype=np.float32)
        for step in range(1, steps + 1):
            left, top = pad_x + round(dx * step / steps), pad_y + round(dy * step / steps)
            part = reach[top : top + height, left : left + width]
            np.maximum(part, stamp.alpha, out=part)
        there, here = self._cut(Stamp(reach, reach, stamp.x - pad_x, stamp.y - pad_y))
        self.image[there] *= 1 - np.float32(strength) * reach[here][..., None]

    def lay(self, stamp: Stamp, category: str | None = None, colour: str | None = None) -> None:
        """Put the object on top. Without a category it is scenery: it hides what is below but becomes no region."""
        there, here = self._cut(stamp)
        alpha = stamp.alpha[here]
        self.image[there] *= 1 - alpha[..., None]
        self.image[there] += stamp.paint[here]
        self._objects.append((category, colour, int((stamp.alpha >= VISIBLE).sum())))
        self.labels[there][alpha >= VISIBLE] = len(self._objects)

    def ground(self, where: NDArray[np.bool_], paint: Image32, category: str) -> None:
        """Cover the pixels of `where` (H, W) with paint (H, W, 3) as a surface, before any object is laid."""
        self.image[where] = paint[where]
        self._objects.append((category, None, int(where.sum())))
        self._grounds = len(self._objects)
        self.labels[where] = self._grounds

    def regions(self, smallest: int = 12, visible: float = 0.5) -> list[Region]:
        """The objects that show, in the order they were laid.

        With fewer than `smallest` pixels, or less than the share `visible` of its area in view, an object is no target
        of expressions but goes on making others ambiguous.
        """
        counts = np.bincount(self.labels.ravel(), minlength=len(self._objects) + 1)
        return [
            Region(
                self.labels == number, category, colour, target=bool(counts[number] >= max(smallest, visible * area))
            )
            for number, (category, colour, area) in enumerate(self._objects, start=1)
            if category is not None and counts[number]
        ]
