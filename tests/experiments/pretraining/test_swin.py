from __future__ import annotations

import numpy as np
import torch

from benchmark.scenes.everyday.scene import CATEGORIES
from experiments.foundation_settings import Recipe
from experiments.pretraining import probes
from experiments.pretraining.corpus import draw_batch
from experiments.pretraining.loop import train
from experiments.pretraining.swin import KIND_OF, KINDS, SwinPupil, bare_backbone, stage_maps, swin_loss
from tests.language_aware import lavt_config

IMAGE = lavt_config().image
RECIPE = Recipe(steps=30, batch_scenes=2, scenes=3, lr=3e-3, weight_decay=0.0, seed=0)


def test_everything_that_can_be_drawn_is_of_a_kind_and_two_names_of_one_thing_are_of_one() -> None:
    assert set(KIND_OF) == set(CATEGORIES)
    assert set(KIND_OF.values()) == set(range(len(KINDS)))
    assert KIND_OF["car"] == KIND_OF["vehicle"] != KIND_OF["toy train"] == KIND_OF["train"]


def test_every_weight_that_is_stored_learns() -> None:
    torch.manual_seed(0)
    pupil = SwinPupil(IMAGE)
    swin_loss(pupil, (0, 1), RECIPE).backward()
    still = [
        name for name, value in pupil.backbone.swin.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert not still


def test_a_swin_learns_and_reads_the_same_without_what_read_it() -> None:
    torch.manual_seed(0)
    pupil = SwinPupil(IMAGE)
    before = swin_loss(pupil, (0, 0), RECIPE).item()
    list(train(pupil, RECIPE, lambda _, recipe: swin_loss(pupil, (0, 0), recipe), "Swin"))
    assert swin_loss(pupil, (0, 0), RECIPE).item() < 0.8 * before
    bare = bare_backbone(IMAGE).eval()
    bare.swin.load_state_dict(pupil.backbone.swin.state_dict())
    images = draw_batch((5,), 2, IMAGE.side).images
    with torch.no_grad():
        for raw, read, norm in zip(
            *(stage_maps(IMAGE, one, images) for one in (bare, pupil.backbone)), pupil.backbone.norms, strict=True
        ):
            torch.testing.assert_close(norm(raw.movedim(1, -1)).movedim(-1, 1), read)


def test_a_probe_reads_what_is_there_and_nothing_that_is_not() -> None:
    rng = np.random.default_rng(0)
    classes = torch.from_numpy(rng.integers(3, size=600))
    told = torch.nn.functional.one_hot(classes, 3).float() + torch.from_numpy(rng.normal(0, 0.1, (600, 3))).float()
    noise = torch.from_numpy(rng.normal(size=(600, 3))).float()
    known = classes.clone()
    known[::7] = -100  # what has no class is neither fitted nor asked
    assert probes._read(told[:300], known[:300], told[300:], known[300:]) == 1.0
    assert 0.2 < probes._read(noise[:300], known[:300], noise[300:], known[300:]) < 0.5
