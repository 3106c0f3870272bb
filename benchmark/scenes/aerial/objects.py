"""The objects of the aerial scenes, seen from above.

``KINDS`` maps a category of RRSIS-D, spelt as it is read, to how it is drawn, how large it is and what colour words
suit it. A drawing function takes the brush (nose along +x, within [-1, 1]), the main colour and a generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.scenes.aerial import sports as sports
from benchmark.scenes.aerial import structures as structures
from benchmark.scenes.brush import Brush, Colour, Point, shade

DARK: Colour = (52, 54, 58)


@dataclass(frozen=True)
class Kind:
    """How a category is drawn and how large.

    length: range along x, in px of an image of 256 at zoom 1. aspect: width per length. height: px of shadow per px
    of length. colours: the words it comes in; none where a colour would not be named, and then it is `plain`, RGB.
    """

    draw: Callable[[Brush, Colour, np.random.Generator], None]
    length: Point
    aspect: float
    height: float = 0.0
    colours: tuple[str, ...] = ()
    plain: tuple[int, int, int] = (180, 178, 170)  # main colour where none is named


def _airplane(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    sweep = float(rng.uniform(0.3, 0.5))
    for side in (-1, 1):
        b.polygon(
            [(0.28, 0.06 * side), (0.28 - sweep, 0.86 * side), (0.1 - sweep, 0.88 * side), (-0.14, 0.06 * side)],
            shade(c, 0.86),
        )
        b.polygon(
            [(-0.66, 0.04 * side), (-0.86, 0.34 * side), (-0.97, 0.34 * side), (-0.88, 0.04 * side)], shade(c, 0.8)
        )
        b.ellipse(0.24 - sweep / 2, 0.38 * side, 0.13, 0.055, DARK)
    b.ellipse(0, 0, 0.98, 0.115, c)
    b.line([(-0.95, 0), (-0.7, 0)], 0.05, shade(c, 0.55))
    b.ellipse(0.84, 0, 0.07, 0.06, DARK)


def _ship(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]
    b.polygon(
        [
            (-0.98, -0.72 * a),
            (-0.8, -a),
            (0.45, -a),
            (0.8, -0.55 * a),
            (1, 0),
            (0.8, 0.55 * a),
            (0.45, a),
            (-0.8, a),
            (-0.98, 0.72 * a),
        ],
        c,
    )
    b.polygon([(-0.86, -0.66 * a), (0.42, -0.66 * a), (0.82, 0), (0.42, 0.66 * a), (-0.86, 0.66 * a)], shade(c, 0.74))
    if rng.integers(2):  # holds or containers ahead of the bridge
        for x in (-0.3, 0.02, 0.34):
            tone = [(158, 84, 66), (96, 116, 140), (170, 150, 104), shade(c, 0.5)][int(rng.integers(4))]
            b.rect(x, -0.5 * a, x + 0.24, 0.5 * a, tone)
    b.rect(-0.78, -0.6 * a, -0.44, 0.6 * a, (228, 228, 224))
    b.rect(-0.6, -0.42 * a, -0.5, 0.42 * a, DARK)


def _storage_tank(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    b.ellipse(0, 0, 1, 1, shade(c, 0.72))
    b.ellipse(0, 0, 0.87, 0.87, c)
    if rng.integers(2):
        b.ellipse(0, 0, 0.6, 0.6, shade(c, 0.86))
        b.ellipse(0, 0, 0.53, 0.53, shade(c, 1.08))
    turn = float(rng.uniform(0, math.tau))
    b.line([(0, 0), (0.85 * math.cos(turn), 0.85 * math.sin(turn))], 0.07, shade(c, 0.6))
    b.ellipse(0, 0, 0.12, 0.12, shade(c, 0.6))


def _vehicle(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    a = b.extent[1]
    if rng.uniform() < 0.25:  # a lorry: cab and load
        b.rect(0.6, -0.85 * a, 0.98, 0.85 * a, shade(c, 0.8))
        b.rect(0.74, -0.7 * a, 0.86, 0.7 * a, DARK)
        b.rect(-1, -0.95 * a, 0.52, 0.95 * a, c)
        return
    b.polygon(
        [
            (-1, -0.75 * a),
            (-0.85, -0.95 * a),
            (0.8, -0.95 * a),
            (1, -0.6 * a),
            (1, 0.6 * a),
            (0.8, 0.95 * a),
            (-0.85, 0.95 * a),
            (-1, 0.75 * a),
        ],
        c,
    )
    b.polygon([(0.42, -0.75 * a), (0.42, 0.75 * a), (0.16, 0.6 * a), (0.16, -0.6 * a)], DARK)
    b.polygon([(-0.78, -0.7 * a), (-0.78, 0.7 * a), (-0.6, 0.6 * a), (-0.6, -0.6 * a)], DARK)


def _windmill(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    turn = float(rng.uniform(0, math.tau))
    for k in range(3):
        x, y = math.cos(turn + k * math.tau / 3), math.sin(turn + k * math.tau / 3)
        b.polygon(
            [
                (-0.05 * y, 0.05 * x),
                (0.25 * x - 0.12 * y, 0.25 * y + 0.12 * x),
                (0.98 * x - 0.03 * y, 0.98 * y + 0.03 * x),
                (0.98 * x + 0.03 * y, 0.98 * y - 0.03 * x),
                (0.05 * y, -0.05 * x),
            ],
            c,
        )
    b.ellipse(0, 0, 0.17, 0.17, shade(c, 0.7))
    b.ellipse(0, 0, 0.11, 0.11, c)


def _chimney(b: Brush, c: Colour, rng: np.random.Generator) -> None:
    bands = 6
    other = (178, 64, 54) if rng.integers(2) else shade(c, 0.7)
    for k in range(bands):
        x0, x1 = -0.8 + 1.6 * k / bands, -0.8 + 1.6 * (k + 1) / bands
        w0, w1 = 0.3 - 0.015 * k, 0.3 - 0.015 * (k + 1)
        b.polygon([(x0, -w0), (x1, -w1), (x1, w1), (x0, w0)], other if k % 2 else c)
    b.ellipse(-0.8, 0, 0.13, 0.3, c)
    b.ellipse(0.8, 0, 0.17, 0.23, shade(c, 1.1))
    b.ellipse(0.8, 0, 0.11, 0.16, (34, 32, 32))


KINDS: dict[str, Kind] = {
    "airplane": Kind(_airplane, (26, 64), 0.9, 0.05, ("white", "gray", "blue")),
    "ship": Kind(_ship, (18, 84), 0.27, 0.04, ("white", "gray", "red", "blue", "black")),
    "storage tank": Kind(_storage_tank, (13, 44), 1.0, 0.22, ("white", "gray", "brown", "blue")),
    "vehicle": Kind(_vehicle, (9, 19), 0.48, 0.12, ("white", "black", "red", "blue", "yellow")),
    "tennis court": Kind(sports.tennis_court, (26, 52), 0.58, 0.0, ("green", "blue")),
    "basketball court": Kind(sports.basketball_court, (26, 50), 0.56, 0.0, ("orange", "red", "gray")),
    "baseball field": Kind(sports.baseball_field, (44, 92), 0.74, 0.0, (), (96, 140, 78)),
    "ground track field": Kind(sports.ground_track_field, (66, 124), 0.5, 0.0, (), (92, 136, 76)),
    "stadium": Kind(sports.stadium, (74, 132), 0.8, 0.06, (), (186, 184, 178)),
    "golf field": Kind(sports.golf_field, (76, 132), 0.74, 0.0, (), (126, 166, 92)),
    "bridge": Kind(structures.bridge, (40, 120), 0.2, 0.06, (), (196, 192, 182)),
    "overpass": Kind(structures.overpass, (64, 100), 0.25, 0.06, (), (200, 196, 186)),
    "harbor": Kind(structures.harbor, (64, 130), 0.62, 0.02, (), (186, 178, 162)),
    "windmill": Kind(_windmill, (34, 72), 1.0, 0.1, (), (236, 236, 232)),
    "chimney": Kind(_chimney, (26, 52), 0.3, 0.16, (), (206, 200, 190)),
    "train station": Kind(structures.train_station, (66, 118), 0.42, 0.06, (), (158, 166, 174)),
    "expressway toll station": Kind(structures.toll_station, (26, 40), 1.3, 0.12, (), (218, 218, 212)),
    "dam": Kind(structures.dam, (50, 120), 0.24, 0.06, (), (190, 188, 180)),
}
