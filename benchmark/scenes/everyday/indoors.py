"""Everyday objects of the house: one drawing function each, upright, in the brush's frame (within [-1, 1]).

Every function takes the brush, the object's main colour and a generator for its small liberties.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.scenes.brush import CIRCLE, Brush, Colour, Point, shade

INK: Colour = (36, 34, 40)
LEAF: Colour = (52, 140, 60)
PAPER: Colour = (246, 244, 236)
STEEL: Colour = (168, 174, 182)
WOOD: Colour = (140, 92, 52)


def ball(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0, 1, 1, c)
    b.polygon([(0.35 * x - 0.1, y) for x, y in CIRCLE], PAPER)
    b.ellipse(-0.45, -0.5, 0.16, 0.12, shade(c, 1.7))


def basketball(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0, 1, 1, c)
    b.line([(-1, 0), (1, 0)], 0.09, INK)
    b.line([(0, -1), (0, 1)], 0.09, INK)
    for side in (-1, 1):
        b.line([(side * (1.05 - 0.62 * math.cos(k)), 0.95 * math.sin(k)) for k in np.linspace(-0.9, 0.9, 9)], 0.09, INK)


def cup(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0.62, -0.05, 0.38, 0.42, shade(c, 0.85))
    b.ellipse(0.62, -0.05, 0.2, 0.24, None)
    b.polygon([(-0.95, -0.75), (0.6, -0.75), (0.45, 0.8), (-0.8, 0.8)], c)
    b.ellipse(-0.175, -0.75, 0.775, 0.17, shade(c, 0.5))


def star(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    def points(r: float) -> list[Point]:
        turns = [math.pi * k / 5 - math.pi / 2 for k in range(10)]
        return [
            ((r if k % 2 == 0 else 0.42 * r) * math.cos(a), (r if k % 2 == 0 else 0.42 * r) * math.sin(a))
            for k, a in enumerate(turns)
        ]

    b.polygon(points(1), c)
    b.polygon(points(0.55), shade(c, 1.3))


def book(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.75, -1, 0.75, 1, c)
    b.rect(-0.75, -1, -0.5, 1, shade(c, 0.55))
    b.rect(0.66, -0.92, 0.75, 0.95, PAPER)
    b.rect(-0.3, -0.65, 0.5, -0.25, PAPER)
    b.rect(-0.18, -0.52, 0.38, -0.42, INK)


def chair(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.62, -1, -0.42, 1, c)
    b.rect(-0.45, -1, -0.3, 0.05, shade(c, 0.75))
    b.polygon([(-0.62, 0.02), (0.6, 0.02), (0.66, 0.24), (-0.62, 0.24)], shade(c, 1.2))
    b.rect(0.46, 0.2, 0.64, 1, c)


def table(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    for x in (-0.82, 0.66):
        b.rect(x, -0.3, x + 0.16, 0.65, shade(c, 0.7))
    b.rect(-0.7, -0.3, 0.7, -0.16, shade(c, 0.6))
    b.polygon([(-0.85, -0.6), (0.85, -0.6), (1, -0.3), (-1, -0.3)], c)


def lamp(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.07, -0.2, 0.07, 0.9, STEEL)
    b.ellipse(0, 0.88, 0.42, 0.12, STEEL)
    b.polygon([(-0.32, -1), (0.32, -1), (0.72, -0.12), (-0.72, -0.12)], c)
    b.rect(-0.72, -0.2, 0.72, -0.1, shade(c, 0.7))


def bottle(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.15, -1, 0.15, -0.8, INK)
    b.polygon(
        [(-0.13, -0.82), (0.13, -0.82), (0.15, -0.5), (0.4, -0.2), (0.4, 1), (-0.4, 1), (-0.4, -0.2), (-0.15, -0.5)], c
    )
    b.rect(-0.4, 0.12, 0.4, 0.62, PAPER)
    b.line([(-0.26, -0.15), (-0.26, 0.05)], 0.08, shade(c, 1.6))


def cap(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.sector(-0.2, 0.35, 0.8, math.pi, math.tau, c)
    b.polygon([(-1, 0.3), (0.6, 0.3), (0.6, 0.48), (-1, 0.48)], shade(c, 0.75))
    b.polygon([(0.4, 0.28), (0.8, 0.32), (1, 0.48), (0.95, 0.55), (0.3, 0.5)], shade(c, 0.55))
    b.ellipse(-0.2, -0.46, 0.1, 0.07, shade(c, 0.6))
    b.line([(-0.2, -0.42), (-0.1, 0), (-0.12, 0.3)], 0.05, shade(c, 0.6))


def top_hat(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0.62, 1, 0.2, shade(c, 0.8))
    b.polygon([(-0.58, -0.8), (0.58, -0.8), (0.5, 0.6), (-0.5, 0.6)], c)
    b.ellipse(0, -0.8, 0.58, 0.12, shade(c, 1.25))
    b.rect(-0.52, 0.24, 0.52, 0.5, (190, 40, 50) if max(c) < 190 else INK)


def clock(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0, 1, 1, c)
    b.ellipse(0, 0, 0.76, 0.76, PAPER)
    for k in range(12):
        b.ellipse(0.62 * math.cos(k * math.pi / 6), 0.62 * math.sin(k * math.pi / 6), 0.06, 0.06, INK)
    hour, minute = rng.uniform(0, math.tau, 2).tolist()
    b.line([(0, 0), (0.36 * math.cos(hour), 0.36 * math.sin(hour))], 0.13, INK)
    b.line([(0, 0), (0.56 * math.cos(minute), 0.56 * math.sin(minute))], 0.09, INK)


def apple(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.line([(0, -0.5), (0.1, -0.98)], 0.14, WOOD)
    b.polygon([(0.1, -0.68), (0.35, -0.98), (0.7, -0.9), (0.5, -0.66)], LEAF)
    for side in (-1, 1):
        b.ellipse(side * 0.38, 0.08, 0.56, 0.7, c)
        b.ellipse(side * 0.2, 0.35, 0.45, 0.62, c)
    b.ellipse(-0.5, -0.2, 0.14, 0.2, shade(c, 1.6))


def box(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(-1, -0.45), (-0.55, -0.85), (1, -0.85), (0.62, -0.45)], shade(c, 1.35))
    b.polygon([(0.62, -0.45), (1, -0.85), (1, 0.45), (0.62, 0.9)], shade(c, 0.6))
    b.rect(-1, -0.45, 0.62, 0.9, c)
    b.rect(-0.32, -0.45, -0.06, 0.9, shade(c, 0.75))


def key(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(-0.6, 0, 0.4, 0.4, c)
    b.ellipse(-0.62, 0, 0.17, 0.17, None)
    b.rect(-0.25, -0.11, 1, 0.11, c)
    b.rect(0.5, 0, 0.66, 0.38, c)
    b.rect(0.82, 0, 1, 0.44, c)


def ladder(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    for k in range(6):
        b.rect(-0.36, -0.84 + 0.32 * k, 0.36, -0.7 + 0.32 * k, shade(c, 0.8))
    b.polygon([(-0.42, -1), (-0.26, -1), (-0.34, 1), (-0.52, 1)], c)
    b.polygon([(0.26, -1), (0.42, -1), (0.52, 1), (0.34, 1)], c)


def heart(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    turns = [math.tau * k / 36 for k in range(36)]
    curve = [
        (16 * math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in turns
    ]
    b.polygon([(x / 16, y / 16 - 0.12) for x, y in curve], c)
    b.ellipse(-0.45, -0.5, 0.2, 0.14, shade(c, 1.5))


def racket(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, -0.42, 0.5, 0.58, c)
    b.ellipse(0, -0.42, 0.36, 0.44, (236, 236, 224))
    for k in (-0.22, 0, 0.22):
        b.line([(k, -0.84), (k, 0)], 0.03, (120, 120, 120))
        b.line([(-0.36, k - 0.42), (0.36, k - 0.42)], 0.03, (120, 120, 120))
    b.polygon([(-0.26, 0.05), (0.26, 0.05), (0.08, 0.4), (-0.08, 0.4)], c)
    b.rect(-0.09, 0.32, 0.09, 1, INK)


def fish_tank(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-1, -0.7, 1, 0.75, c)
    b.rect(-0.9, -0.55, 0.9, 0.65, (214, 236, 244))
    b.rect(-0.9, -0.3, 0.9, 0.65, (96, 178, 220))
    b.rect(-0.9, 0.46, 0.9, 0.65, (216, 190, 130))
    b.ellipse(-0.1, 0.06, 0.3, 0.17, (244, 132, 40))
    b.polygon([(0.12, 0.06), (0.42, -0.12), (0.42, 0.24)], (244, 132, 40))
    b.line([(-0.62, 0.5), (-0.56, 0.2), (-0.66, -0.05)], 0.09, LEAF)


def drum(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0.55, 0.95, 0.32, shade(c, 0.7))
    b.rect(-0.95, -0.45, 0.95, 0.55, c)
    zigzag = [(-0.95 + 0.38 * k, -0.3 if k % 2 else 0.62) for k in range(6)]
    b.line(zigzag, 0.07, (244, 214, 90))
    b.ellipse(0, -0.45, 0.95, 0.32, shade(c, 0.6))
    b.ellipse(0, -0.47, 0.82, 0.24, PAPER)


def scissors(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(-0.5, -1), (-0.34, -1), (0.3, 0.38), (0.1, 0.42)], STEEL)
    b.polygon([(0.5, -1), (0.34, -1), (-0.3, 0.38), (-0.1, 0.42)], shade(STEEL, 0.8))
    for side in (-1, 1):
        b.ellipse(side * 0.34, 0.66, 0.32, 0.34, c)
        b.ellipse(side * 0.34, 0.66, 0.15, 0.17, None)
