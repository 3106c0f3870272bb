from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.aerial.site import MUTE
from benchmark.scenes.brush import Brush, Stamp
from benchmark.scenes.sketch import COLOURS, Sketch, fill, finish, noise, tint


def _disc(x: float, y: float, radius: float) -> Stamp:
    brush = Brush(x, y, radius)
    brush.ellipse(0, 0, 1, 1, (200, 60, 60))
    return brush.stamp()


@pytest.mark.parametrize("mute", [0.0, MUTE])
def test_every_shade_of_a_colour_is_nearest_to_its_own_word(mute: float) -> None:
    names = list(COLOURS) if not mute else sorted({name for kind in KINDS.values() for name in kind.colours})
    means = {
        name: np.mean([tint(np.random.default_rng([1, k]), name, mute) for k in range(50)], axis=0) for name in names
    }
    rng = np.random.default_rng(0)
    for name in names:
        for _ in range(50):
            shade = tint(rng, name, mute)
            assert min(means, key=lambda other: math.dist(means[other], shade)) == name


def test_both_domains_use_the_same_colour_words() -> None:
    assert {name for kind in KINDS.values() for name in kind.colours} <= set(COLOURS)


def test_noise_depends_on_the_generator_alone_and_keeps_its_range() -> None:
    first, again = (noise(np.random.default_rng(3), 64, (4, 16)) for _ in range(2))
    assert np.array_equal(first, again)
    assert 0.5 < np.abs(first).max() < 2


def test_finish_gives_bytes_and_adds_noise_of_the_stated_strength() -> None:
    pixels = finish(fill((120, 120, 120), 64), np.random.default_rng(0), grain=4, blur=0.5)
    assert pixels.dtype == np.uint8
    assert pixels.std() == pytest.approx(4, rel=0.1)


def test_a_region_is_exactly_what_can_be_seen_of_its_object() -> None:
    sketch = Sketch(fill((90, 120, 90), 64))
    sketch.lay(_disc(24, 32, 14), "tank", "red")
    alone = sketch.regions()[0].mask
    sketch.lay(_disc(40, 32, 10), "ship", "red")
    below, above = sketch.regions()
    assert not (below.mask & above.mask).any()
    assert np.array_equal(below.mask, alone & ~above.mask)


def test_scenery_hides_objects_but_is_no_region() -> None:
    sketch = Sketch(fill((90, 120, 90), 64))
    sketch.lay(_disc(24, 32, 10), "tank")
    before = sketch.regions()[0].area
    sketch.lay(_disc(34, 32, 10))
    assert [region.category for region in sketch.regions()] == ["tank"]
    assert sketch.regions()[0].area < before


def test_what_is_mostly_hidden_or_tiny_or_cut_off_is_no_target() -> None:
    sketch = Sketch(fill((90, 120, 90), 64))
    sketch.lay(_disc(20, 20, 8), "hidden")
    sketch.lay(_disc(22, 20, 8), "whole")
    sketch.lay(_disc(50, 50, 1.2), "tiny")
    sketch.lay(_disc(-2, 50, 8), "cut off")
    assert {region.category: region.target for region in sketch.regions()} == {
        "hidden": False,
        "whole": True,
        "tiny": False,
        "cut off": False,
    }


def test_what_is_wholly_hidden_is_no_region() -> None:
    sketch = Sketch(fill((90, 120, 90), 64))
    sketch.lay(_disc(20, 20, 5), "hidden")
    sketch.lay(_disc(20, 20, 9), "whole")
    assert [region.category for region in sketch.regions()] == ["whole"]


def test_a_shadow_only_darkens_and_falls_on_its_own_side() -> None:
    sketch = Sketch(fill((100, 100, 100), 64))
    sketch.shadow(_disc(30, 30, 8), 12, 0, 0.5)
    assert sketch.image.max() <= 100
    assert sketch.image[30, 48, 0] == pytest.approx(50)
    assert sketch.image[30, 12, 0] == 100


def test_an_object_half_outside_the_image_is_cut_at_its_border() -> None:
    sketch = Sketch(fill((100, 100, 100), 32))
    for x, y in ((0, 0), (32, 32), (-40, 10), (80, 80)):
        sketch.shadow(_disc(x, y, 6), 3, 3, 0.5)
        sketch.lay(_disc(x, y, 6), "tank")
    assert len(sketch.regions()) == 2
