"""What lies under the objects of an aerial scene: land, fields, water, roads and paved areas, in muted colours.

Every pixel has a zone, so that ships are put on water and vehicles on roads. Lengths are given for an image of 256 px
at zoom 1, and scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.scenes.brush import Colour, Image32, Point
from benchmark.scenes.sketch import blend, fill, noise

ZOOM = 1.6  # how near the ground is; at 1 most objects are under 20 px and few of them can be told apart by `mini`

LAND, WATER, ROAD, PAVED, CLOSED = range(5)  # CLOSED: nothing is put there (runways, rails)

LANDS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "grass": ((96, 108, 70), (110, 116, 78), (84, 98, 66)),
    "dry": ((148, 132, 102), (164, 148, 116), (136, 124, 100)),
    "town": ((134, 130, 120), (122, 122, 114), (146, 138, 126)),
}
WATERS = ((44, 68, 84), (52, 82, 90), (60, 84, 78), (38, 58, 78))
CROPS = ((104, 116, 66), (134, 130, 80), (152, 136, 98), (86, 102, 62), (122, 104, 78), (142, 142, 96))
ASPHALT: Colour = (98, 98, 100)
CONCRETE: Colour = (166, 164, 158)
PAINT: Colour = (214, 212, 204)


def unit_of(side: int) -> float:
    """Pixels that a length of 1, as written in these modules, has in an image of that side."""
    return ZOOM * side / 256


@dataclass(frozen=True)
class Strip:
    """A straight road, rail or river: a point of its middle line, its direction in radians and its width in px."""

    x: float
    y: float
    angle: float
    width: float

    def at(self, along: float, aside: float = 0.0) -> Point:
        """The point so many px along and to the right of the middle line."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.x + along * c - aside * s, self.y + along * s + aside * c

    def quad(self, start: float, stop: float, low: float, high: float) -> list[Point]:
        """The rectangle between two places along and two places aside."""
        return [self.at(start, low), self.at(stop, low), self.at(stop, high), self.at(start, high)]

    def meets(self, other: Strip) -> float:
        """How far along this strip the middle line of the other crosses it."""
        c, s = math.cos(other.angle), math.sin(other.angle)
        across = math.cos(self.angle) * s - math.sin(self.angle) * c
        return ((other.x - self.x) * s - (other.y - self.y) * c) / across


class Ground:
    """A square of land to lay water, roads and pavement on.

    image: (side, side, 3) in 0..255. zones: (side, side) of LAND, WATER, ROAD, PAVED, CLOSED. unit: see unit_of().
    """

    def __init__(self, rng: np.random.Generator, side: int, kind: str) -> None:
        self.rng, self.side, self.unit = rng, side, unit_of(side)
        self.zones: NDArray[np.uint8] = np.zeros((side, side), dtype=np.uint8)
        self.roads: list[Strip] = []
        colours = LANDS[kind]
        base = np.array(colours[int(rng.integers(len(colours)))]) + rng.uniform(-10, 8) + rng.uniform(-4, 4, 3)
        self.image: Image32 = fill(base, side)
        other = np.array(colours[int(rng.integers(len(colours)))]) + rng.uniform(-14, 8) + rng.uniform(-4, 4, 3)
        blend(self.image, other, np.clip(0.5 + noise(rng, side, (3, 6, 12)), 0, 1))
        self.mottle = noise(rng, side, (16, 48, 96), fall=0.9)
        self.image *= (1 + 0.10 * self.mottle)[..., None]

    def _cover(self, polygons: list[list[Point]]) -> tuple[tuple[slice, slice], Image32]:
        """The rows and columns that the polygons reach, and how much of each pixel there they cover, 0..1."""
        canvas = Image.new("L", (2 * self.side, 2 * self.side))
        draw = ImageDraw.Draw(canvas)
        for points in polygons:
            draw.polygon([(2 * x - 0.5, 2 * y - 0.5) for x, y in points], fill=255)
        small = canvas.reduce(2)
        left, top, right, bottom = small.getbbox() or (0, 0, 0, 0)
        alpha = np.asarray(small, dtype=np.float32)[top:bottom, left:right] * np.float32(1 / 255)
        return (slice(top, bottom), slice(left, right)), alpha

    def lay(self, points: list[Point], colour: Colour, zone: int | None = None, strength: float = 1.0) -> None:
        """Paint a polygon, keeping some of the land's mottle, and make it a zone."""
        there, alpha = self._cover([points])
        if zone is not None:
            self.zones[there][alpha >= 0.5] = zone
        paint = np.asarray(colour, dtype=np.float32) * (1 + np.float32(0.035) * self.mottle[there])[..., None]
        paint -= self.image[there]
        paint *= (alpha * np.float32(strength))[..., None]
        self.image[there] += paint

    def fields(self, strip: Strip) -> None:
        """Crops in a patchwork along the directions of the strip, some with furrows."""
        reach, size = 1.5 * self.side, float(self.rng.uniform(44, 80)) * self.unit
        steps = math.ceil(reach / size)
        c, s = math.cos(strip.angle), math.sin(strip.angle)
        rows, columns = np.mgrid[: self.side, : self.side].astype(np.float32)
        along = (columns - strip.x) * c + (rows - strip.y) * s
        aside = (rows - strip.y) * c - (columns - strip.x) * s
        across = np.floor(aside / size).astype(np.int64) + steps
        shift = self.rng.uniform(0, 1, 2 * steps + 2) * size * 1.6
        down = np.floor((along + shift[across]) / (size * 1.6)).astype(np.int64) + steps
        crops = np.array(CROPS, dtype=np.float32)[self.rng.integers(len(CROPS), size=(2 * steps + 2, 2 * steps + 2))]
        crops += self.rng.uniform(-9, 9, crops.shape).astype(np.float32)
        furrows = self.rng.integers(2, size=crops.shape[:2]).astype(np.float32) * np.float32(0.07)
        period = float(self.rng.uniform(3, 6)) * self.unit
        stripes = np.where(np.floor(aside / period) % 2 == 0, furrows[across, down], 0)
        edge = np.minimum(aside % size, (along + shift[across]) % (size * 1.6)) < 1.5 * self.unit
        colour = crops[across, down] * (1 + 0.09 * self.mottle - stripes - 0.2 * edge)[..., None]
        self.image += np.float32(0.85) * (colour.astype(np.float32) - self.image)

    def flood(self, depth: Image32) -> None:
        """Water where depth > 0, in px from the shore, with a sandy bank."""
        u = self.unit
        blend(self.image, (166, 154, 124), np.clip((depth + 5 * u) / (4 * u), 0, 0.8))
        water = np.array(WATERS[int(self.rng.integers(len(WATERS)))]) + self.rng.uniform(-8, 8, 3)
        alpha = np.clip(depth + 0.5, 0, 1)
        ripple = 1 + 0.06 * noise(self.rng, self.side, (6, 48)) + np.clip(0.25 - depth / (60 * u), 0, 0.25)
        self.image += alpha[..., None] * (water.astype(np.float32) * ripple.astype(np.float32)[..., None] - self.image)
        self.zones[depth > -3 * u] = CLOSED
        self.zones[depth > 0] = WATER

    def depth(self, strip: Strip, wild: float) -> Image32:
        """Distance in px from the nearer bank of a river (positive inside), whose banks wander by `wild` px."""
        rows, columns = np.mgrid[: self.side, : self.side].astype(np.float32)
        aside = (rows - strip.y) * np.float32(math.cos(strip.angle)) - (columns - strip.x) * np.float32(
            math.sin(strip.angle)
        )
        return np.float32(strip.width / 2) - np.abs(aside) + np.float32(wild) * noise(self.rng, self.side, (3, 8))

    def road(self, strip: Strip, colour: Colour = ASPHALT, verge: bool = True) -> None:
        """A straight road right across the image; those of 14 px and more get lanes."""
        reach, half, u = 1.5 * self.side, strip.width / 2, self.unit
        if verge:
            self.lay(strip.quad(-reach, reach, -half - 2 * u, half + 2 * u), (150, 142, 122), CLOSED, 0.6)
        self.lay(strip.quad(-reach, reach, -half, half), colour, ROAD)
        marks: list[list[Point]] = []
        if strip.width >= 14 * u:
            marks += [
                strip.quad(-reach, reach, side - 0.5 * u, side + 0.5 * u) for side in (1.5 * u - half, half - 1.5 * u)
            ]
        step = 10 * u
        marks += [
            strip.quad(k * step, k * step + 5 * u, -0.5 * u, 0.5 * u)
            for k in range(-math.ceil(reach / step), math.ceil(reach / step))
        ]
        self.mark(marks, PAINT, 0.75)
        self.roads.append(strip)

    def mark(self, quads: list[list[Point]], colour: Colour, strength: float) -> None:
        """Paint many small polygons at once, without changing zones."""
        there, alpha = self._cover(quads)
        blend(self.image[there], colour, alpha * np.float32(strength))

    def rails(self, strip: Strip) -> None:
        """Railway tracks on ballast."""
        reach, u = 1.5 * self.side, self.unit
        self.lay(strip.quad(-reach, reach, -strip.width / 2, strip.width / 2), (118, 108, 98), CLOSED)
        tracks = max(1, int(strip.width / (7 * u)))
        sides = [strip.width * ((k + 0.5) / tracks - 0.5) for k in range(tracks)]
        rails = [
            strip.quad(-reach, reach, t + d - 0.4 * u, t + d + 0.4 * u) for t in sides for d in (-1.6 * u, 1.6 * u)
        ]
        self.mark(rails, (70, 64, 60), 0.8)

    def lot(
        self, x: float, y: float, length: float, width: float, angle: float, colour: Colour, stalls: bool = False
    ) -> Strip:
        """A paved rectangle around (x, y), with stall lines if it is a parking lot."""
        strip, u = Strip(x, y, angle, width), self.unit
        self.lay(strip.quad(-length / 2, length / 2, -width / 2, width / 2), colour, PAVED)
        if stalls:
            step = 10 * u
            rows = [-width / 2, width / 2 - 16 * u]
            lines = [
                strip.quad(k * step - length / 2, k * step - length / 2 + 0.9 * u, row, row + 16 * u)
                for k in range(1, int(length / step))
                for row in rows
            ]
            self.mark(lines, PAINT, 0.55)
        return strip
