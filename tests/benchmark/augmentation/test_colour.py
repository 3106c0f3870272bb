from __future__ import annotations

import colorsys

import numpy as np
import pytest

from benchmark.augmentation.colour import jitter
from benchmark.scenes.sketch import COLOURS


def hue(colour: tuple[float, ...]) -> float:
    return colorsys.rgb_to_hsv(*(value / 255 for value in colour))[0]


@pytest.mark.parametrize("name", COLOURS)
def test_a_colour_keeps_its_name_in_any_light(name: str) -> None:
    """The nearest of the writer's colours is still the one that the sentence says."""
    patch = np.broadcast_to(np.array(COLOURS[name], np.uint8), (9, 9, 3)).copy()
    rng = np.random.default_rng(0)
    for _ in range(200):
        seen = jitter(patch, rng).reshape(-1, 3).mean(axis=0)
        nearest = min(COLOURS, key=lambda other: float(np.linalg.norm(seen - np.array(COLOURS[other]))))
        assert nearest == name, (seen, nearest)


def test_hues_stay_and_lightness_does_not() -> None:
    muted = np.array([[(150, 90, 80), (90, 140, 100), (80, 90, 150), (140, 130, 80)]], np.uint8)
    large = muted.repeat(8, axis=0).repeat(8, axis=1)
    rng, means = np.random.default_rng(1), []
    for _ in range(100):
        seen = jitter(large, rng)
        assert seen.dtype == np.uint8
        assert seen.shape == large.shape
        for k in range(4):
            inside = seen[:, 8 * k + 3 : 8 * k + 5].reshape(-1, 3).mean(axis=0)
            turn = abs(hue(tuple(inside)) - hue(tuple(muted[0, k])))
            assert min(turn, 1 - turn) < 0.03  # of the circle
        means.append(float(seen.mean()))
    assert 10 < np.ptp(means) < 80


def test_an_image_that_is_read_only_and_grey_is_fine() -> None:
    grey = np.full((5, 7, 3), 128, np.uint8)
    grey.flags.writeable = False
    seen = jitter(grey, np.random.default_rng(0))
    assert np.ptp(seen, axis=-1).max() == 0
