from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from benchmark.augmentation.directions import allowed, rewrite
from benchmark.augmentation.symmetry import (
    FLIPS,
    IDENTITY,
    LEFT_RIGHT,
    ROTATIONS,
    SYMMETRIES,
    TOP_BOTTOM,
    Symmetry,
)
from benchmark.datasets.synthetic import draw_scene
from benchmark.expressions.generalized import write_absent, write_multiple
from benchmark.expressions.regions import Region
from benchmark.expressions.writer import TEMPLATES
from tests.benchmark.augmentation.sayable import sayable

QUARTER = Symmetry(turns=1)  # counter-clockwise: the left comes to the bottom
HALF = Symmetry(turns=2)
WORDINGS = [text.format(n="red storage tank", a="ship") for texts in TEMPLATES.values() for text in texts]


def exact(text: str) -> str:
    """The one wording of the writer that comes back as another one."""
    return re.sub(r"(?<!the )\b(left|right) of", r"to the \1 of", text)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_writer_says_of_a_scene_it_also_says_of_the_turned_scene_of_the_same_region(seed: int) -> None:
    scene = draw_scene(np.random.default_rng(seed), 128)
    said = sayable(scene.regions)
    assert len(said) > 50
    for symmetry in SYMMETRIES:
        turned = [Region(symmetry.pixels(one.mask), one.category, one.colour, one.target) for one in scene.regions]
        there = sayable(turned)
        for text, region in said.items():
            assert there.get(rewrite(text, symmetry)) == region, (text, symmetry, rewrite(text, symmetry))


def test_every_wording_of_the_writer_allows_every_symmetry_and_the_group_law_holds() -> None:
    for text in WORDINGS:
        assert allowed(text) == SYMMETRIES
        for a, b in itertools.product(SYMMETRIES, SYMMETRIES):
            assert exact(rewrite(rewrite(text, a), b)) == exact(rewrite(text, a.then(b))), (text, a, b)
        assert all(exact(rewrite(rewrite(text, a), a.inverse())) == exact(text) for a in SYMMETRIES)


def test_sentences_of_several_and_of_none_are_rewritten_as_surely() -> None:
    scene = draw_scene(np.random.default_rng(5), 128)
    rng = np.random.default_rng(0)
    texts = [one.text for one in write_multiple(scene.regions, rng, 40)]
    texts += [one.text for one in write_absent(scene.regions, ["ship", "dam", "windmill"], rng, 40)]
    assert sum(rewrite(text, QUARTER) != text for text in texts) > 20
    for text in texts:
        assert allowed(text) == SYMMETRIES, text
        assert exact(rewrite(rewrite(text, QUARTER), QUARTER.inverse())) == exact(text)


@pytest.mark.parametrize(
    ("text", "mirrored", "turned"),  # left and right exchanged; a quarter turn
    [
        # published sentences, and phrases of them
        (
            "The ship that is closest to the top edge of the image.",
            "The ship that is closest to the top edge of the image.",
            "The ship that is closest to the left edge of the image.",
        ),
        (
            "The ship located towards the bottom left of the image.",
            "The ship located towards the bottom right of the image.",
            "The ship located towards the bottom right of the image.",
        ),
        (
            "The vehicle is above the chimney at the bottom",
            "The vehicle is above the chimney at the bottom",
            "The vehicle is to the left of the chimney on the right",
        ),
        (
            "A vehicle on the upper left of the vehicle on the right",
            "A vehicle on the upper right of the vehicle on the left",
            "A vehicle on the lower left of the vehicle at the top",
        ),
        ("Leftmost ship", "Rightmost ship", "Bottommost ship"),
        ("an upper ship", "an upper ship", "a left ship"),
        ("a left ship", "a right ship", "a lower ship"),
        ("the second ship from the left", "the second ship from the right", "the second ship from the bottom"),
        (
            "the second largest ship on the left",
            "the second largest ship on the right",
            "the second largest ship at the bottom",
        ),
        (
            "the ship on the left of the image",
            "the ship on the right of the image",
            "the ship at the bottom of the image",
        ),
        (
            "the car on the left side of the road",
            "the car on the right side of the road",
            "the car on the lower side of the road",
        ),
        ("the car on the right-hand side", "the car on the left-hand side", "the car on the upper side"),
        (
            "the car located on the left of the road",
            "the car located on the right of the road",
            "the car located below the road",
        ),
        ("the ship at the top and right", "the ship at the top and left", "the ship at the top and left"),
        ("the tank in the left-top corner", "the tank in the right-top corner", "the tank in the left-bottom corner"),
        (
            "the northeastern tank, west of the dam",
            "the northwestern tank, east of the dam",
            "the northwestern tank, south of the dam",
        ),
        (
            "a horizontal road parked along vertically",
            "a horizontal road parked along vertically",
            "a vertical road parked along horizontally",
        ),
        ("the road from left to right", "the road from right to left", "the road from bottom to top"),
        (
            "the house right next to the left one",
            "the house right next to the right one",
            "the house right next to the lower one",
        ),
        (
            "the road at a right angle to the ship on the right",
            "the road at a right angle to the ship on the left",
            "the road at a right angle to the ship at the top",
        ),
    ],
)
def test_the_words_of_the_field(text: str, mirrored: str, turned: str) -> None:
    assert rewrite(text, LEFT_RIGHT) == mirrored
    assert rewrite(text, QUARTER) == turned


@pytest.mark.parametrize(
    ("text", "symmetries"),
    [
        ("the left wing", [IDENTITY]),  # the airplane's own
        ("the car turning left", [IDENTITY]),
        ("the car that is left", [IDENTITY]),
        ("the first ship", [IDENTITY]),  # counted from where?
        ("the ship in the third row", [IDENTITY]),
        ("the ship in the North Sea", [IDENTITY]),
        ("the ship at 3 o'clock", [IDENTITY]),
        ("the top of the building", [IDENTITY, LEFT_RIGHT]),  # its roof?
        ("the bridge over the river", [IDENTITY, LEFT_RIGHT]),
        ("the plane flying above the sea", [IDENTITY, LEFT_RIGHT]),
        ("the boat upside down", [IDENTITY, LEFT_RIGHT]),
        ("the car behind the house", [IDENTITY, LEFT_RIGHT]),
        ("the man with the bottom line", [IDENTITY, LEFT_RIGHT]),
        ("the ship to the left", [*FLIPS]),  # of the image, or of another ship?
        ("the ship in the top center", [*FLIPS]),
        ("the vertical storage tank", [*FLIPS]),  # it stands
        ("the row of ships", [*FLIPS]),
        ("the roof with the letter T", [*ROTATIONS]),  # mirrored it is none
        ("the S-shaped road", [*ROTATIONS]),
        ("the top hat and the overpass beside the topsoil", [*SYMMETRIES]),
    ],
)
def test_a_word_that_may_mean_something_else_allows_only_what_leaves_it_alone(
    text: str, symmetries: list[Symmetry]
) -> None:
    assert set(allowed(text)) == set(symmetries)
    for symmetry in set(SYMMETRIES) - set(symmetries):
        with pytest.raises(ValueError, match="cannot be said of the image"):
            rewrite(text, symmetry)


def test_left_and_right_stay_when_top_and_bottom_are_exchanged() -> None:
    assert rewrite("the ship on the left above the dam", TOP_BOTTOM) == "the ship on the left below the dam"
    assert rewrite("the ship on the left above the dam", HALF) == "the ship on the right below the dam"
