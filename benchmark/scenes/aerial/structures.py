"""Structures of roads, rails and water seen from above: one drawing function each, in the brush's frame (in [-1, 1]).

Roads and railways run along x; a dam lies along x, across its river; a harbor's piers point to -y.
"""

from __future__ import annotations

import numpy as np

from benchmark.scenes.brush import Brush, Colour, Point, shade

LINE: Colour = (226, 226, 218)


def bridge(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]
    b.rect(-1, -a, 1, a, c)
    b.rect(-1, -0.68 * a, 1, 0.68 * a, (108, 108, 108))
    b.line([(-1, 0), (1, 0)], 0.06 * a, LINE)
    spans = 5
    for k in range(spans + 1):
        x = -0.97 + 1.94 * k / spans
        b.line([(x, -a), (x, a)], 0.14 * a, shade(c, 1.1))


def overpass(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]
    b.rect(-1, -a, 1, a, c)
    b.rect(-1, -0.84 * a, 1, 0.84 * a, (120, 118, 114))
    b.rect(-1, -0.1 * a, 1, 0.1 * a, shade(c, 0.9))
    for y in (-0.48 * a, 0.48 * a):
        for k in range(8):
            b.rect(-0.95 + 0.25 * k, y - 0.04 * a, -0.83 + 0.25 * k, y + 0.04 * a, LINE)


def harbor(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    fingers = int(rng.integers(3, 6))
    b.rect(-1, 0.28, 1, 0.62, c)
    b.rect(-0.98, 0.32, 0.98, 0.38, shade(c, 0.8))
    for k in range(fingers):
        x = -0.9 + 1.8 * k / (fingers - 1)
        b.rect(x - 0.08, -0.6, x + 0.08, 0.3, shade(c, 0.92))
        b.rect(x - 0.02, -0.57, x + 0.02, 0.3, shade(c, 0.72))
    for x in (-0.7, -0.2, 0.42):
        b.rect(x, 0.42, x + 0.3, 0.56, ((150, 92, 74), (104, 122, 140), (142, 140, 134))[int(rng.integers(3))])


def dam(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]

    def arc(y: float) -> list[Point]:
        return [(x / 8, y - 0.5 * a * (x / 8) ** 2) for x in range(-8, 9)]

    b.polygon([*arc(0.1 * a), *arc(a)[::-1]], shade(c, 0.8))
    b.polygon([*arc(-0.5 * a + 0.1 * a), *arc(0.2 * a)[::-1]], c)
    for k in range(-3, 4):
        x = 0.26 * k
        y = -0.5 * a * x * x
        b.rect(x - 0.07, y + 0.25 * a, x + 0.07, y + 0.98 * a, (222, 228, 228))
        b.line([(x - 0.11, y - 0.4 * a), (x - 0.11, y + a)], 0.05, shade(c, 0.6))


def train_station(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-1, -0.34, 1, 0.34, (124, 116, 108))
    for y in (-0.24, 0.02, 0.28):
        b.rect(-1, y - 0.09, 1, y + 0.07, c)
        b.rect(-1, y - 0.09, 1, y - 0.02, shade(c, 1.3))
        for k in range(9):
            x = -0.9 + 0.225 * k
            b.line([(x, y - 0.09), (x, y + 0.07)], 0.012, shade(c, 0.75))
    b.rect(-0.4, -0.42, 0.4, 0.42, shade(c, 0.85))
    b.rect(-0.36, -0.38, 0.36, 0.0, shade(c, 1.2))
    for x in (-0.2, 0.0, 0.2):
        b.rect(x - 0.04, -0.3, x + 0.04, 0.32, (70, 84, 96))


def toll_station(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]
    lanes = 6
    for k in range(lanes):
        y = a * (-0.86 + 1.72 * k / (lanes - 1))
        b.rect(-1, y - 0.035 * a, 1, y + 0.035 * a, (220, 196, 96))
    roof = ((84, 112, 156), (164, 74, 66), (96, 136, 124))[int(rng.integers(3))]
    b.rect(-0.42, -a, 0.42, a, c)
    b.rect(-0.42, -a, -0.26, a, roof)
    b.rect(0.26, -a, 0.42, a, roof)
