from __future__ import annotations

import numpy as np
import pytest

from benchmark.datasets import synthetic
from benchmark.expressions.writer import write_expressions
from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.everyday import scene as everyday
from benchmark.scenes.everyday.landscape import SURFACES
from benchmark.scenes.everyday.shapes import SHAPES
from benchmark.scenes.sketch import COLOURS, Scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [everyday.draw_scene(np.random.default_rng([11, index])) for index in range(150)]


def test_the_same_generator_draws_the_same_bytes() -> None:
    first, again = (everyday.draw_scene(np.random.default_rng(5), 96) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert [r.category for r in first.regions] == [r.category for r in again.regions]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(first.regions, again.regions, strict=True))


def test_scenes_have_three_regions_and_more_with_disjoint_masks_of_the_images_size(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (128, 128, 3)
        assert scene.image.dtype == np.uint8
        assert len(scene.regions) >= 3
        assert sum(region.colour is not None for region in scene.regions) <= 10, "objects, which have a colour"
        stack = np.stack([region.mask for region in scene.regions])
        assert stack.shape[1:] == (128, 128)
        assert stack.any(axis=(1, 2)).all()
        assert stack.sum(axis=0).max() == 1


def test_the_side_is_free() -> None:
    for side in (64, 256):
        assert everyday.draw_scene(np.random.default_rng(0), side).image.shape == (side, side, 3)


def test_sizes_span_from_specks_to_a_large_part_of_the_image(scenes: list[Scene]) -> None:
    areas = np.array([region.area for scene in scenes for region in scene.regions])
    assert np.quantile(areas, 0.05) < 40
    assert np.quantile(areas, 0.95) > 1000


def test_every_category_and_every_colour_appears(scenes: list[Scene]) -> None:
    regions = [region for scene in scenes for region in scene.regions]
    assert {region.category for region in regions} == set(everyday.CATEGORIES)
    assert {region.colour for region in regions} == {*COLOURS, None}


def test_a_third_of_the_scenes_are_landscapes_on_whose_surfaces_objects_stand(scenes: list[Scene]) -> None:
    surfaces = {name for names in SURFACES.values() for name in names}
    landscapes = [scene for scene in scenes if surfaces & {region.category for region in scene.regions}]
    assert 0.25 < len(landscapes) / len(scenes) < 0.45
    assert np.mean([any(region.category in SHAPES for region in scene.regions) for scene in landscapes]) > 0.9
    for scene in landscapes:
        said = {region.category for region in scene.regions}
        for names in SURFACES.values():
            assert len(said & set(names)) <= 1, "one thing has two names in one scene"


def test_several_objects_of_one_category_are_common(scenes: list[Scene]) -> None:
    repeated = [len({r.category for r in scene.regions}) < len(scene.regions) for scene in scenes]
    assert np.mean(repeated) > 0.6


def test_most_objects_can_be_told_apart_in_words(scenes: list[Scene]) -> None:
    described = [{e.region for e in write_expressions(s.regions, np.random.default_rng(0))} for s in scenes[:50]]
    total = sum(len(scene.regions) for scene in scenes[:50])
    assert sum(len(found) for found in described) > 0.8 * total


def test_what_is_drawn_is_not_what_the_aerial_scenes_draw_but_shares_words() -> None:
    """Of a toy airplane a CLIP learns the word; from above it has never seen one."""
    assert not set(SHAPES) & set(KINDS)
    words = {word for name in SHAPES for word in name.split()} & {word for name in KINDS for word in name.split()}
    assert {"tennis", "basketball", "baseball", "storage", "tank"} <= words


def test_the_palette_is_unlike_the_aerial_one(scenes: list[Scene]) -> None:
    def saturation(images: list[np.ndarray]) -> np.ndarray:
        pixels = np.stack([image[::4, ::4].astype(float) for image in images])
        return np.ptp(pixels, axis=-1).mean(axis=(1, 2))

    aerial = [synthetic.draw_scene(np.random.default_rng([12, index]), 128).image for index in range(25)]
    here, there = saturation([scene.image for scene in scenes]), saturation(aerial)
    assert here.mean() > 2 * there.mean()
    assert np.quantile(here, 0.1) > np.quantile(there, 0.9)
