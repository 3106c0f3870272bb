from __future__ import annotations

import numpy as np
import pytest

from benchmark.augmentation.scale import LEAST, rescale, true_farther, true_nearer
from benchmark.datasets.synthetic import draw_scene
from benchmark.expressions.regions import Region
from benchmark.expressions.writer import TEMPLATES
from tests.benchmark.augmentation.sayable import sayable


def kept_wordings(stays: object) -> set[str]:
    """The writer's locators all of whose wordings stay; no locator may lose only some."""
    assert callable(stays)
    kept = {name: {stays(text.format(n="red ship", a="dam")) for text in texts} for name, texts in TEMPLATES.items()}
    assert all(len(answers) == 1 for answers in kept.values()), kept
    return {name for name, answers in kept.items() if True in answers}


def test_which_sentences_of_the_writer_stay() -> None:
    assert kept_wordings(true_nearer) == {""}
    assert kept_wordings(true_farther) == {"", "largest", "smallest", "left of", "right of", "above", "below"}
    assert true_nearer("the largest area of water") is False
    assert true_nearer("the area of blue water in the image") is True


@pytest.mark.parametrize("seed", range(3))
def test_what_stays_is_true_of_the_same_region_alone(seed: int) -> None:
    """Every sentence that the writer can say and that is kept, judged anew on all that is left of the scene."""
    rng = np.random.default_rng(seed)
    regions = draw_scene(np.random.default_rng(seed), 128).regions
    labels = np.zeros((128, 128, 3), np.uint8)  # what is where: 0 nothing, k + 1 region k; masks are disjoint
    labels[::2, :, 1] = 255  # neither 0 nor 255 on the canvas
    for k, region in enumerate(regions):
        labels[region.mask, 0] = k + 1
    changed = 0
    for text, k in sayable(regions).items():
        image, masks, _ = rescale(labels, [regions[k].mask], [text], rng)
        if image.shape == labels.shape:
            continue
        changed += 1
        there = np.where(np.isin(image[..., 1], (0, 255)), image[..., 0], 0)
        assert np.array_equal(masks[0], there == k + 1)
        assert masks[0].sum() == regions[k].area
        left = [n for n in range(len(regions)) if (there == n + 1).any()]
        moved = [Region(there == n + 1, regions[n].category, regions[n].colour, regions[n].target) for n in left]
        assert sayable(moved).get(text) == left.index(k), text
    assert changed > 10


def test_pixels_are_cut_out_or_laid_on_the_mean_colour_and_never_resampled() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:14, 20:30] = True
    seen = set()
    for _ in range(80):
        changed, (moved,), _ = rescale(image, [mask], ["the ship"], rng)
        assert moved.shape == changed.shape[:2]
        assert np.array_equal(changed[moved], image[mask])
        nearer, farther = changed.size < image.size, changed.size > image.size
        seen.add((nearer, farther))
        small, large = sorted((changed.shape, image.shape))
        assert all(LEAST - 0.02 <= a / b <= 1 for a, b in zip(small, large, strict=True))
        if farther:
            outside = (changed == image.mean(axis=(0, 1)).round().astype(np.uint8)).all(axis=-1)
            assert np.count_nonzero(~outside) <= image.shape[0] * image.shape[1]
    assert seen == {(False, False), (True, False), (False, True)}


def test_sentences_that_do_not_stay_are_left_out_and_an_image_is_never_left_without() -> None:
    masks = [np.zeros((40, 40), bool) for _ in range(3)]
    for mask, x in zip(masks, (0, 20, 36), strict=True):
        mask[20:24, x : x + 4] = True
    image, rng = np.zeros((40, 40, 3), np.uint8), np.random.default_rng(0)
    texts = ["the ship", "the car above the dam", "the car on the right"]
    found = {tuple(rescale(image, masks, texts, rng)[2]) for _ in range(60)}
    assert found == {(0, 1, 2), (0,), (0, 1)}
    wide = [np.ones((40, 40), bool)]  # fits no window
    shapes = {rescale(image, wide, ["the dam"], rng)[0].shape[0] >= 40 for _ in range(60)}
    assert shapes == {True}
    assert all(rescale(image, masks[:1], ["the car on the right"], rng)[0] is image for _ in range(30))


def test_of_nothing_a_noun_alone_stays() -> None:
    rng, nothing = np.random.default_rng(0), np.zeros((40, 40), bool)
    image = np.zeros((40, 40, 3), np.uint8)
    sizes = {rescale(image, [nothing], ["all ships"], rng)[0].shape[0] for _ in range(60)}
    assert min(sizes) < 40 < max(sizes)
