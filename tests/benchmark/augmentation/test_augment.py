from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmark.augmentation.augment import Augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
MASK = np.zeros((20, 30), bool)
MASK[2:5, 3:9] = True


def drawn(names: list[str], texts: list[str], count: int = 200) -> Counter[str]:
    """How often the first sentence becomes what."""
    augment, rng = Augmentation(names), np.random.default_rng(0)
    return Counter(augment(IMAGE, [MASK] * len(texts), texts, rng).sentences[0] for _ in range(count))


def test_each_symmetry_is_as_likely() -> None:
    corners = {"upper left", "upper right", "lower left", "lower right"}
    for names in (["flip"], ["turn"], ["turn", "flip"]):
        found = drawn(names, ["the ship in the upper left"], 400)
        assert set(found) == {f"the ship in the {corner}" for corner in corners}
        assert min(found.values()) > 70
    assert set(drawn(["flip"], ["the ship on the left"])) == {"the ship on the left", "the ship on the right"}
    assert len(drawn(["turn"], ["the ship on the left"])) == 4


def test_one_symmetry_is_drawn_for_an_image_of_those_that_all_its_sentences_allow() -> None:
    text = "the ship on the left"
    assert set(drawn(["flip", "turn"], [text, "the ship in the top center"])) == {text, "the ship on the right"}
    assert set(drawn(["flip", "turn"], [text, "the left wing"])) == {text}
    assert set(drawn(["turn"], [text, "the roof over the door"])) == {text}


def test_pixels_and_masks_move_together() -> None:
    rng = np.random.default_rng(0)
    for names in (["flip", "turn"], ["flip", "turn", "scale"]):
        for _ in range(60):
            image, (mask,), _, _ = Augmentation(names)(IMAGE, [MASK], ["the ship"], rng)
            assert image.flags["C_CONTIGUOUS"]
            assert mask.shape == image.shape[:2]
            assert sorted(map(tuple, image[mask].tolist())) == sorted(map(tuple, IMAGE[MASK].tolist()))


def test_only_what_is_named_happens() -> None:
    for _ in range(20):
        image, masks, texts, kept = Augmentation(["colour"])(IMAGE, [MASK], ["the left ship"], np.random.default_rng(3))
        assert not np.array_equal(image, IMAGE)
        assert np.array_equal(masks[0], MASK)
        assert (texts, kept) == (["the left ship"], [0])
    with pytest.raises(ValueError, match="unknown augmentation 'flap'"):
        Augmentation(["flap"])
