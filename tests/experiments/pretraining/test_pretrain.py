from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.expressions.writer import Region
from experiments.foundation_settings import Recipe
from experiments.pretraining.clip import _phrases, _words, clip_loss
from experiments.pretraining.corpus import cell_owner, coverage, draw_batch, pick_batch
from experiments.pretraining.loop import train
from experiments.pretraining.pretrain import each_cycle
from experiments.pretraining.sam import PROMPTS, _coarse_logits, _loose_box, _point_in, prompted, sam_loss
from models.clip import Clip
from models.sam import Sam
from tests.tiny import tiny_config, tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads 10 tokens


RECIPE = Recipe(steps=40, batch_scenes=2, scenes=3, lr=3e-3, weight_decay=0.0, seed=0)


def box_mask(side: int, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_scenes_depend_on_their_seed_alone() -> None:
    first, again, other = draw_batch((0, 1), 2, 64), draw_batch((0, 1), 2, 64), draw_batch((0, 2), 2, 64)
    assert all(torch.equal(a, b) for a, b in zip(first.images, again.images, strict=True))
    assert not torch.equal(first.images[0], other.images[0])


def test_a_batch_is_of_the_scenes_to_learn_from_and_of_no_others() -> None:
    def seen(*seeds: int, recipe: Recipe = RECIPE) -> set[bytes]:
        return {bytes(image.numpy()) for seed in seeds for image in pick_batch((0, seed), recipe, 64).images}

    first, second = each_cycle(RECIPE.model_copy(update={"cycles": 2}))
    assert len(seen(*range(1, 13))) == RECIPE.scenes
    assert seen(5) == seen(5, recipe=first)
    assert not seen(*range(1, 13)) & seen(*range(1, 13), recipe=second)
    assert not seen(*range(1, 13)) & {bytes(image.numpy()) for image in draw_batch((10**6, 0), 4, 64).images}


def test_coverage_is_the_share_of_a_cell_that_is_covered() -> None:
    assert coverage(box_mask(8, 0, 0, 3, 4), 2).tolist() == [[0.75, 0.0], [0.0, 0.0]]


def test_a_patch_belongs_to_the_region_that_covers_most_of_it() -> None:
    drawn = draw_batch((0, 3), 3, 64)
    owner = cell_owner(drawn, 8)
    for index, (region, scene) in enumerate(zip(drawn.regions, drawn.scene_of, strict=True)):
        share = coverage(region.mask, 8)
        assert (share[owner[scene] == index] > 0).all()
        assert (share[owner[scene] == -1] == 0).all(), "a touched patch counts as background"


def test_a_phrase_is_true_of_exactly_the_regions_it_names() -> None:
    mask = box_mask(4, 0, 0, 2, 2)
    regions = [Region(mask, "cup", "red"), Region(mask, "cup", "blue"), Region(mask, "hat", "red")]
    for seed in range(8):
        phrases, truth = _phrases(regions, np.random.default_rng(seed))
        for phrase, column in zip(phrases, truth.T, strict=True):
            words = phrase.split()[1:]
            expected = [words[-1] == r.category and (len(words) == 1 or words[0] == r.colour) for r in regions]
            assert column.tolist() == expected, phrase


def test_a_word_is_true_where_the_objects_name_or_colour_holds_it(tmp_path: Path) -> None:
    """Of its own scene; words that name nothing are asked for nothing."""
    drawn = draw_batch((0, 7), 2, 64)
    clip = Clip(tiny_config().clip, tiny_tokenizer(tmp_path))
    scene = drawn.scene_of.index(1)
    there = drawn.regions[scene]
    which, token, truth = _words(clip, ["the left of", f"the {there.category} on the left"], [1, 1], drawn)
    spoken = there.category.split()
    expected = [
        [place == 1 and word in (*region.category.split(), region.colour) for region, place in named]
        for word in spoken
        for named in [list(zip(drawn.regions, drawn.scene_of, strict=True))]
    ]
    words = clip.tokens.tokenizer(f"the {there.category} on the left").encodings[0].word_ids
    assert set(which.tolist()) == {1}
    for position, row in zip(token.tolist(), truth.tolist(), strict=True):
        assert row == expected[words[position] - 1]


def test_prompts_lie_where_they_should() -> None:
    rng = np.random.default_rng(0)
    mask = box_mask(64, 20, 12, 40, 24)
    for _ in range(20):
        x, y = _point_in(mask, rng).astype(int)
        assert mask[y, x]
        assert np.abs(_loose_box(mask, rng) - (20, 12, 39, 23)).max() <= 2.1
        heat = _coarse_logits(mask, rng)
        assert heat.shape == (16, 16)
        assert mask[np.unravel_index(heat.argmax(), heat.shape)[0] * 4 + 2].any()


def test_both_losses_reach_every_part_they_train(tmp_path: Path) -> None:
    config = tiny_config()
    torch.manual_seed(0)
    clip, sam = Clip(config.clip, tiny_tokenizer(tmp_path)), Sam(config.sam)
    clip_loss(clip, (0, 0), RECIPE).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in clip.model.vision_model.parameters())
    drawn = draw_batch((0, 0), 2, config.sam.image_side)
    for kind in PROMPTS:
        logits, quality, truth = prompted(
            sam, sam.encode(drawn.images), drawn, range(len(drawn.regions)), kind, np.random.default_rng(0)
        )
        assert logits.shape == (len(truth), config.sam.mask_side, config.sam.mask_side)
        assert quality.shape == (len(truth),)


def test_pretraining_lowers_the_loss_and_stops_when_it_is_not_finite() -> None:
    sam = Sam(tiny_config().sam)
    losses = [loss for _, loss in train(sam, RECIPE, lambda _, recipe: sam_loss(sam, (0, 0), recipe), "SAM")]
    assert losses[-1] < sam_loss(Sam(tiny_config().sam), (0, 0), RECIPE).item()
    with pytest.raises(FloatingPointError, match="step 1"):
        next(train(sam, RECIPE, lambda *_: torch.tensor(float("nan"), requires_grad=True), "SAM"))
