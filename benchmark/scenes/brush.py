"""Draws one object of a scene, in the object's own frame, on a supersampled crop no larger than the object.

The frame has x to the right and y down and spans about [-1, 1]. Only numpy and PIL, and no trigonometry from numpy,
whose last bit depends on the processor: the same strokes give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Image32 = NDArray[np.float32]  # (H, W, 3) in 0..255, or (H, W)
Colour = Sequence[float] | NDArray[np.float64]  # red, green, blue in 0..255
Point = tuple[float, float]

CIRCLE = [(math.cos(math.tau * k / 28), math.sin(math.tau * k / 28)) for k in range(28)]


def shade(colour: Colour, factor: float) -> tuple[float, float, float]:
    """The colour darkened (factor < 1) or lightened towards white (factor > 1)."""
    red, green, blue = (float(c) for c in colour)
    if factor <= 1:
        return red * factor, green * factor, blue * factor
    lift = min(factor - 1, 1.0)
    return red + (255 - red) * lift, green + (255 - green) * lift, blue + (255 - blue) * lift


@dataclass(frozen=True, eq=False)
class Stamp:
    """One drawn object: paint (h, w, 3) in 0..255, already multiplied by its coverage alpha (h, w) in 0..1.

    x, y: where its upper left pixel goes in the image.
    """

    paint: Image32
    alpha: Image32
    x: int
    y: int


class Brush:
    """Draws one object around (x, y) px: `scale` px to the unit, turned by `angle` (radians, clockwise on the screen).

    extent: half width and half height, in units, that the drawing stays within. mirror flips x before turning.
    """

    def __init__(
        self, x: float, y: float, scale: float, angle: float = 0.0, extent: Point = (1.0, 1.0), mirror: bool = False
    ) -> None:
        self.extent = extent
        c, s = math.cos(angle), math.sin(angle)
        half_w = scale * (abs(c) * extent[0] + abs(s) * extent[1]) + 1
        half_h = scale * (abs(s) * extent[0] + abs(c) * extent[1]) + 1
        self.x, self.y = math.floor(x - half_w), math.floor(y - half_h)
        self.width, self.height = math.ceil(x + half_w) - self.x, math.ceil(y + half_h) - self.y
        self.samples = 4 if max(half_w, half_h) < 28 else 3 if max(half_w, half_h) < 60 else 2
        zoom = scale * self.samples
        flip = -1.0 if mirror else 1.0
        self._xx, self._xy, self._x0 = c * zoom * flip, -s * zoom, (x - self.x) * self.samples - 0.5
        self._yx, self._yy, self._y0 = s * zoom * flip, c * zoom, (y - self.y) * self.samples - 0.5
        self._zoom = zoom
        # Four plain bands, colour and coverage: PIL treats CMYK as such, where RGBA would be un- and re-multiplied.
        self._canvas = Image.new("CMYK", (self.width * self.samples, self.height * self.samples))
        self._draw = ImageDraw.Draw(self._canvas)

    def _place(self, points: Sequence[Point]) -> list[Point]:
        return [(self._xx * x + self._xy * y + self._x0, self._yx * x + self._yy * y + self._y0) for x, y in points]

    @staticmethod
    def _ink(colour: Colour | None) -> tuple[int, int, int, int]:
        return (0, 0, 0, 0) if colour is None else (int(colour[0]), int(colour[1]), int(colour[2]), 255)

    def polygon(self, points: Sequence[Point], colour: Colour | None) -> None:
        """A filled polygon; colour None cuts a hole, here and below."""
        self._draw.polygon(self._place(points), fill=self._ink(colour))

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour | None) -> None:
        """A filled rectangle between two corners."""
        self.polygon(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour | None) -> None:
        """A filled ellipse with its axes along x and y."""
        self.polygon([(x + rx * c, y + ry * s) for c, s in CIRCLE], colour)

    def sector(self, x: float, y: float, r: float, start: float, stop: float, colour: Colour | None) -> None:
        """A filled piece of a disc between two angles (radians, clockwise from the right).

        A slice below half a disc, and from there on the segment beyond the chord.
        """
        steps = 16
        arc = [start + (stop - start) * k / steps for k in range(steps + 1)]
        rim = [(x + r * math.cos(a), y + r * math.sin(a)) for a in arc]
        self.polygon(rim if stop - start >= math.pi - 1e-6 else [(x, y), *rim], colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour | None) -> None:
        """A line through the points, `width` units wide and at least 0.8 px."""
        thick = max(round(width * self._zoom), round(0.8 * self.samples), 1)
        self._draw.line(self._place(points), fill=self._ink(colour), width=thick, joint="curve")

    def stamp(self, light: float = 0.0) -> Stamp:
        """The finished object at image resolution, upper left brightened and lower right darkened by `light`."""
        small = np.asarray(self._canvas.reduce(self.samples), dtype=np.float32)
        alpha = small[..., 3] * np.float32(1 / 255)
        paint: Image32 = small[..., :3]
        if light:
            rows = np.linspace(light, -light, self.height, dtype=np.float32)[:, None]
            columns = np.linspace(light, -light, self.width, dtype=np.float32)
            paint = paint * (1 + rows / 2 + columns / 2).astype(np.float32, copy=False)[..., None]
        return Stamp(paint, alpha, self.x, self.y)
