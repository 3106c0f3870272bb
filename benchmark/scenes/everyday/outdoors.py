"""Everyday objects of garden, street and toy box: one drawing function each, as in everyday_indoors."""

from __future__ import annotations

import math

import numpy as np

from benchmark.scenes.brush import Brush, Colour, shade

GLASS: Colour = (176, 216, 236)
INK: Colour = (36, 34, 40)
LEAF: Colour = (52, 140, 60)
PAPER: Colour = (246, 244, 236)
STEEL: Colour = (168, 174, 182)
WOOD: Colour = (140, 92, 52)


def house(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(0.4, -0.95, 0.62, -0.3, shade(c, 0.55))
    b.rect(-0.8, -0.15, 0.8, 1, shade(c, 1.35))
    b.polygon([(-1, -0.1), (0, -0.95), (1, -0.1)], shade(c, 0.85))
    b.rect(-0.2, 0.4, 0.2, 1, WOOD)
    for x in (-0.55, 0.5):
        b.rect(x - 0.17, 0.12, x + 0.17, 0.45, GLASS)


def tree(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.14, 0.2, 0.14, 1, WOOD)
    for x, y, r in ((-0.38, -0.1, 0.42), (0.38, -0.1, 0.42), (0, -0.5, 0.5), (0, 0.0, 0.45)):
        b.ellipse(x, y, r, r, c)
    b.ellipse(-0.2, -0.55, 0.2, 0.16, shade(c, 1.25))


def car(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(-0.55, -0.1), (-0.35, -0.52), (0.3, -0.52), (0.6, -0.1)], c)
    b.polygon([(-0.42, -0.1), (-0.28, -0.42), (-0.04, -0.42), (-0.04, -0.1)], GLASS)
    b.polygon([(0.06, -0.1), (0.06, -0.42), (0.25, -0.42), (0.44, -0.1)], GLASS)
    b.polygon([(-1, 0.35), (-1, -0.02), (-0.9, -0.12), (0.8, -0.12), (1, 0.05), (1, 0.35)], c)
    b.rect(0.86, 0.02, 1, 0.14, (255, 240, 170))
    for x in (-0.55, 0.55):
        b.ellipse(x, 0.34, 0.24, 0.24, INK)
        b.ellipse(x, 0.34, 0.1, 0.1, STEEL)


def sailboat(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-0.04, -1, 0.06, 0.6, WOOD)
    b.polygon([(0.1, -0.95), (0.85, 0.4), (0.1, 0.4)], c)
    b.polygon([(-0.1, -0.8), (-0.1, 0.4), (-0.65, 0.4)], shade(c, 1.3))
    b.polygon([(-1, 0.5), (1, 0.5), (0.65, 1), (-0.7, 1)], shade(c, 0.6))


def flower(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.line([(0, -0.3), (0.04, 1)], 0.12, LEAF)
    b.polygon([(0.04, 0.75), (0.5, 0.3), (0.42, 0.62)], LEAF)
    b.polygon([(0.02, 0.85), (-0.48, 0.45), (-0.38, 0.75)], LEAF)
    for k in range(6):
        b.ellipse(0.36 * math.cos(k * math.pi / 3), -0.42 + 0.36 * math.sin(k * math.pi / 3), 0.24, 0.24, c)
    b.ellipse(0, -0.42, 0.2, 0.2, (110, 70, 30) if c[1] > 180 and c[2] < 120 else (250, 210, 60))


def fish(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(0.4, 0), (1, -0.5), (0.86, 0), (1, 0.5)], shade(c, 0.7))
    b.polygon([(-0.3, -0.3), (0.1, -0.62), (0.3, -0.25)], shade(c, 0.7))
    b.ellipse(-0.2, 0, 0.8, 0.42, c)
    b.line([(-0.5, -0.3), (-0.42, 0), (-0.5, 0.3)], 0.07, shade(c, 0.6))
    b.ellipse(-0.68, -0.08, 0.13, 0.13, PAPER)
    b.ellipse(-0.7, -0.08, 0.07, 0.07, INK)


def umbrella(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.line([(0, -0.9), (0, 0.8), (0.12, 0.93), (0.28, 0.88), (0.3, 0.7)], 0.1, WOOD)
    b.sector(0, 0, 1, math.pi, math.tau, c)
    b.polygon([(-0.34, 0), (0, -1), (0.34, 0)], shade(c, 1.4))
    for x in (-0.67, 0, 0.67):
        b.ellipse(x, 0.02, 0.3, 0.12, None)
    b.rect(-0.05, -0.15, 0.05, 0.3, WOOD)


def kite(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.line([(0, 0.3), (0.2, 0.52), (-0.1, 0.7), (0.15, 0.97)], 0.07, INK)
    b.polygon([(0, -1), (0.62, -0.4), (0, 0.4), (-0.62, -0.4)], c)
    b.polygon([(0, -1), (0.62, -0.4), (0, -0.4)], shade(c, 0.6))
    b.polygon([(0, 0.4), (-0.62, -0.4), (0, -0.4)], shade(c, 0.6))
    for x, y in ((0.16, 0.55), (0.0, 0.78)):
        b.polygon([(x - 0.2, y - 0.1), (x + 0.2, y + 0.1), (x + 0.2, y - 0.1), (x - 0.2, y + 0.1)], c)


def mushroom(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(-0.26, 0), (0.26, 0), (0.36, 1), (-0.36, 1)], (238, 226, 204))
    b.sector(0, 0.15, 1, math.pi, math.tau, c)
    b.rect(-1, 0.1, 1, 0.22, shade(c, 0.7))
    for x, y, r in ((-0.5, -0.2, 0.16), (0.05, -0.5, 0.19), (0.5, -0.15, 0.15)):
        b.ellipse(x, y, r, r, PAPER if min(c) < 190 else (200, 60, 50))


def cactus(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    green = c
    for side, y in ((-1, -0.1), (1, -0.3)):
        b.line([(0, y + 0.25), (side * 0.58, y + 0.2), (side * 0.58, y - 0.3)], 0.26, green)
        b.ellipse(side * 0.58, y - 0.3, 0.13, 0.13, green)
    b.ellipse(0, -0.65, 0.26, 0.3, green)
    b.rect(-0.26, -0.65, 0.26, 0.5, green)
    b.line([(0, -0.8), (0, 0.4)], 0.06, shade(green, 1.4))
    b.polygon([(-0.5, 0.42), (0.5, 0.42), (0.36, 1), (-0.36, 1)], (196, 104, 62))


def toy_train(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(0.3, -0.85, 0.9, 0.42, c)
    b.rect(0.22, -0.92, 0.98, -0.72, shade(c, 0.6))
    b.rect(0.42, -0.55, 0.78, -0.18, GLASS)
    b.rect(-0.8, -0.25, 0.32, 0.42, shade(c, 0.85))
    b.polygon([(-0.68, -0.8), (-0.3, -0.8), (-0.38, -0.25), (-0.6, -0.25)], INK)
    b.polygon([(-0.8, 0.3), (-1, 0.6), (-0.7, 0.6)], INK)
    for x, r in ((-0.5, 0.24), (0.02, 0.24), (0.6, 0.32)):
        b.ellipse(x, 0.85 - r, r, r, INK)
        b.ellipse(x, 0.85 - r, r / 2, r / 2, (214, 186, 70))


def toy_windmill(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(-0.28, -0.35), (0.28, -0.35), (0.46, 1), (-0.46, 1)], c)
    b.polygon([(-0.36, -0.3), (0, -0.7), (0.36, -0.3)], shade(c, 0.55))
    b.rect(-0.13, 0.62, 0.13, 1, WOOD)
    turn = float(rng.uniform(0.5, 1.1))
    for k in range(4):
        x, y = math.cos(turn + k * math.pi / 2), math.sin(turn + k * math.pi / 2)
        b.polygon(
            [
                (0, -0.28),
                (0.7 * x - 0.14 * y, -0.28 + 0.7 * y + 0.14 * x),
                (0.7 * x + 0.14 * y, -0.28 + 0.7 * y - 0.14 * x),
            ],
            PAPER,
        )
        b.line([(0, -0.28), (0.7 * x, -0.28 + 0.7 * y)], 0.06, INK)


def golf_flag(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0.86, 0.6, 0.14, (70, 160, 70))
    b.ellipse(-0.2, 0.86, 0.2, 0.06, INK)
    b.rect(-0.26, -1, -0.14, 0.88, (236, 236, 230))
    b.polygon([(-0.14, -1), (0.62, -0.68), (-0.14, -0.36)], c)


def balloon(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.line([(0, 0.35), (0.1, 0.6), (-0.06, 0.8), (0.05, 1)], 0.06, INK)
    b.ellipse(0, -0.35, 0.56, 0.65, c)
    b.polygon([(0, 0.24), (0.12, 0.42), (-0.12, 0.42)], shade(c, 0.7))
    b.ellipse(-0.22, -0.6, 0.13, 0.18, shade(c, 1.6))


def butterfly(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        b.polygon([(0, 0), (side * 0.5, -0.8), (side * 0.95, -0.7), (side * 0.9, -0.15), (side * 0.4, 0.08)], c)
        b.polygon([(0, 0.05), (side * 0.7, 0.2), (side * 0.65, 0.65), (side * 0.3, 0.75)], shade(c, 0.75))
        b.ellipse(side * 0.62, -0.45, 0.14, 0.14, PAPER if min(c) < 190 else (200, 120, 40))
        b.line([(0, -0.5), (side * 0.22, -0.85)], 0.05, INK)
    b.ellipse(0, 0, 0.1, 0.6, INK)


def toy_bridge(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.rect(-1, -0.3, 1, 0.5, c)
    b.rect(-1, -0.45, 1, -0.25, shade(c, 0.65))
    for x in (-0.5, 0.5):
        b.ellipse(x, 0.5, 0.34, 0.45, None)
    for x in (-0.95, 0, 0.95):
        b.rect(x - 0.05, -0.6, x + 0.05, -0.3, shade(c, 0.65))


def toy_airplane(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.polygon([(0.5, -0.1), (0.72, -0.62), (0.96, -0.62), (0.86, -0.05)], shade(c, 0.7))
    b.ellipse(-0.05, 0.02, 0.95, 0.25, c)
    b.polygon([(-0.1, 0.02), (0.26, 0.02), (0.4, 0.58), (0.16, 0.58)], shade(c, 0.6))
    for x in (-0.5, -0.22, 0.06, 0.34):
        b.ellipse(x, -0.06, 0.08, 0.08, GLASS)
    b.ellipse(-0.97, 0.02, 0.05, 0.3, INK)


def toy_ship(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    for x in (-0.4, 0.2):
        b.rect(x, -0.85, x + 0.26, -0.2, shade(c, 0.75))
        b.rect(x, -0.85, x + 0.26, -0.66, INK)
    b.rect(-0.7, -0.28, 0.68, 0.12, PAPER)
    for x in (-0.48, -0.14, 0.2, 0.52):
        b.ellipse(x, -0.07, 0.09, 0.09, (70, 130, 180))
    b.polygon([(-1, 0.02), (-0.72, 0.1), (1, 0.1), (0.8, 0.72), (-0.7, 0.72)], c)
