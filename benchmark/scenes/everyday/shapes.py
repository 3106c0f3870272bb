"""The categories of the everyday scenes: how each is drawn, its proportions and the colours it comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.scenes.brush import Brush, Colour, Point
from benchmark.scenes.everyday import indoors as indoors
from benchmark.scenes.everyday import outdoors as outdoors

ANY = ("red", "blue", "green", "yellow", "white", "black", "gray", "orange", "brown", "purple", "pink")
BRIGHT = ("red", "blue", "green", "yellow", "white", "orange", "purple", "pink")


@dataclass(frozen=True)
class Shape:
    """How a category is drawn, the half width and half height it fills, the colour words it comes in, and what else it
    is called."""

    draw: Callable[[Brush, Colour, np.random.Generator], None]
    extent: Point = (1.0, 1.0)
    colours: tuple[str, ...] = ANY
    also: str | None = None


SHAPES: dict[str, Shape] = {
    "ball": Shape(indoors.ball, colours=("red", "blue", "green", "yellow", "black", "orange", "purple", "pink")),
    "basketball": Shape(indoors.basketball, colours=("orange", "brown", "red", "blue")),
    "cup": Shape(indoors.cup, (1.0, 0.95)),
    "house": Shape(outdoors.house),
    "tree": Shape(outdoors.tree, (0.82, 1.0), ("green", "orange", "yellow", "red", "pink")),
    "car": Shape(outdoors.car, (1.0, 0.6), also="vehicle"),
    "sailboat": Shape(outdoors.sailboat),
    "star": Shape(indoors.star),
    "book": Shape(indoors.book, (0.75, 1.0)),
    "chair": Shape(indoors.chair, (0.68, 1.0)),
    "table": Shape(indoors.table, (1.0, 0.66)),
    "lamp": Shape(indoors.lamp, (0.74, 1.0)),
    "water bottle": Shape(indoors.bottle, (0.4, 1.0)),
    "flower": Shape(outdoors.flower, (0.62, 1.02), BRIGHT),
    "fish": Shape(outdoors.fish, (1.0, 0.64)),
    "umbrella": Shape(outdoors.umbrella),
    "baseball cap": Shape(indoors.cap, (1.0, 0.58)),
    "top hat": Shape(indoors.top_hat, (1.0, 0.94)),
    "clock": Shape(indoors.clock),
    "apple": Shape(indoors.apple, (0.95, 1.0), ("red", "green", "yellow")),
    "kite": Shape(outdoors.kite, (0.64, 1.0)),
    "storage box": Shape(indoors.box, (1.0, 0.9)),
    "key": Shape(indoors.key, (1.0, 0.46)),
    "ladder": Shape(indoors.ladder, (0.54, 1.0)),
    "mushroom": Shape(outdoors.mushroom, colours=("red", "brown", "orange", "purple", "blue", "white")),
    "heart": Shape(indoors.heart, (1.0, 1.0)),
    "cactus": Shape(outdoors.cactus, (0.76, 1.0), ("green",)),
    "tennis racket": Shape(indoors.racket, (0.5, 1.0)),
    "fish tank": Shape(indoors.fish_tank, (1.0, 0.76), ("black", "white", "gray", "red", "blue", "brown")),
    "toy train": Shape(outdoors.toy_train, (1.0, 0.93), also="train"),
    "toy windmill": Shape(outdoors.toy_windmill, (0.8, 1.02), also="windmill"),
    "golf flag": Shape(outdoors.golf_flag, (0.64, 1.0)),
    "balloon": Shape(outdoors.balloon, (0.58, 1.0)),
    "butterfly": Shape(outdoors.butterfly, (1.0, 0.88), BRIGHT),
    "drum": Shape(indoors.drum, (0.97, 0.9)),
    "scissors": Shape(indoors.scissors, (0.68, 1.0)),
    "toy airplane": Shape(outdoors.toy_airplane, (1.02, 0.66), also="airplane"),
    "toy ship": Shape(outdoors.toy_ship, (1.0, 0.86), also="ship"),
    "toy bridge": Shape(outdoors.toy_bridge, (1.0, 0.62), also="bridge"),
}
