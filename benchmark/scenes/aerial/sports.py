"""Sports grounds seen from above: one drawing function each, in the brush's frame (long side along x, in [-1, 1])."""

from __future__ import annotations

import math

import numpy as np

from benchmark.scenes.brush import CIRCLE, Brush, Colour, Point, shade

LINE: Colour = (226, 226, 218)
DARK: Colour = (52, 54, 58)
TURF: Colour = (92, 132, 76)
CLAY: Colour = (168, 116, 84)


def _outline(b: Brush, points: list[Point], width: float) -> None:
    b.line([*points, points[0]], width, LINE)


def _box(x: float, y: float) -> list[Point]:
    return [(-x, -y), (x, -y), (x, y), (-x, y)]


def tennis_court(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-1, -0.58, 1, 0.58, shade(c, 0.72))
    b.rect(-0.74, -0.38, 0.74, 0.38, shade(c, 1.1))
    _outline(b, _box(0.74, 0.38), 0.03)
    for side in (-1, 1):
        b.line([(-0.74, 0.28 * side), (0.74, 0.28 * side)], 0.025, LINE)
        b.line([(0.4 * side, -0.28), (0.4 * side, 0.28)], 0.025, LINE)
    b.line([(-0.4, 0), (0.4, 0)], 0.025, LINE)
    b.line([(0, -0.46), (0, 0.46)], 0.045, DARK)


def basketball_court(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    paint = ((70, 92, 140), (150, 62, 54), (74, 116, 84))[int(rng.integers(3))]
    b.rect(-1, -0.56, 1, 0.56, c)
    for side in (-1, 1):
        arc = [side * math.pi / 2 + math.pi * k / 12 for k in range(13)]
        b.line([(side * 0.86 + 0.42 * math.cos(t), 0.42 * math.sin(t)) for t in arc], 0.035, LINE)
        b.rect(side * 0.5, -0.16, side * 0.94, 0.16, paint)
    b.ellipse(0, 0, 0.2, 0.2, LINE)
    b.ellipse(0, 0, 0.15, 0.15, paint)
    b.line([(0, -0.5), (0, 0.5)], 0.035, LINE)
    _outline(b, _box(0.94, 0.5), 0.04)


def baseball_field(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    y, wide = 0.68, math.pi / 4
    b.sector(0, y, 1.4, -math.pi / 2 - wide, -math.pi / 2 + wide, CLAY)
    b.sector(0, y - 0.05, 1.28, -math.pi / 2 - wide, -math.pi / 2 + wide, c)
    b.sector(0, y, 0.74, -math.pi / 2 - wide, -math.pi / 2 + wide, CLAY)
    b.polygon([(0, y - 0.1), (0.3, y - 0.38), (0, y - 0.66), (-0.3, y - 0.38)], shade(c, 1.08))
    b.ellipse(0, y - 0.38, 0.07, 0.07, CLAY)
    b.ellipse(0, y - 0.04, 0.09, 0.09, CLAY)
    for side in (-1, 1):
        b.line([(0, y - 0.02), (side * 0.93, y - 0.95)], 0.02, LINE)


def _oval(x: float, y: float) -> list[Point]:
    """A rectangle with half discs at its left and right ends, half length x and half width y."""
    return [(math.copysign(x - y, c) + y * c, y * s) for c, s in CIRCLE]


def ground_track_field(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    track = ((158, 84, 66), (148, 76, 62), (166, 98, 80))[int(rng.integers(3))]
    b.polygon(_oval(1, 0.5), track)
    for inset in (0.06, 0.12):
        _outline(b, _oval(1 - inset, 0.5 - inset), 0.012)
    b.polygon(_oval(0.8, 0.31), c)
    for k in range(-3, 4, 2):
        b.rect(0.14 * k - 0.07, -0.25, 0.14 * k + 0.07, 0.25, shade(c, 0.9))
    _outline(b, _box(0.52, 0.25), 0.018)
    b.line([(0, -0.25), (0, 0.25)], 0.018, LINE)
    b.ellipse(0, 0, 0.09, 0.09, LINE)
    b.ellipse(0, 0, 0.07, 0.07, c)


def stadium(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    seats = ((112, 126, 158), (158, 96, 88), (150, 150, 148), (170, 142, 92))[int(rng.integers(4))]
    b.ellipse(0, 0, 1, 0.8, c)
    b.ellipse(0, 0, 0.97, 0.77, shade(c, 1.15))
    for px, py in CIRCLE[::2]:
        b.line([(0.7 * px, 0.52 * py), (0.98 * px, 0.78 * py)], 0.022, shade(c, 0.72))
    b.ellipse(0, 0, 0.78, 0.58, shade(seats, 0.62))
    b.ellipse(0, 0, 0.74, 0.54, seats)
    b.ellipse(0, 0, 0.6, 0.42, shade(TURF, 0.8))
    for k in range(-2, 3):
        b.rect(0.17 * k - 0.085, -0.25, 0.17 * k + 0.085, 0.25, shade(TURF, 1.12 if k % 2 else 0.95))
    _outline(b, _box(0.43, 0.25), 0.02)
    b.line([(0, -0.25), (0, 0.25)], 0.02, LINE)


def golf_field(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    phase = rng.uniform(0, math.tau, 3).tolist()
    swell = [
        0.8 + 0.1 * math.sin(2 * t + phase[0]) + 0.07 * math.sin(3 * t + phase[1])
        for t in (math.tau * k / 28 for k in range(28))
    ]
    for reach, tone in ((1.0, shade(c, 0.82)), (0.88, c)):
        b.polygon([(reach * r * x, reach * 0.74 * r * y) for r, (x, y) in zip(swell, CIRCLE, strict=True)], tone)
    for k in range(4):
        turn = phase[2] + k * math.pi / 2 + float(rng.uniform(-0.4, 0.4))
        x, y = 0.5 * math.cos(turn), 0.34 * math.sin(turn)
        b.ellipse(x, y, 0.19, 0.13, shade(c, 1.28))
        b.ellipse(x + 0.18, y + 0.09, 0.1, 0.055, (222, 206, 166))
        b.ellipse(x - 0.12, y - 0.13, 0.065, 0.05, (222, 206, 166))
    b.ellipse(0, 0, 0.15, 0.08, (62, 92, 104))
