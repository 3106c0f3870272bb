from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from benchmark.data.loader import Batch
from experiments.config import load_params
from experiments.settings import TrainConfig
from experiments.training.losses import batch_loss
from experiments.training.step import TrainStep
from models.system import System
from tests.language_aware import lavt_config, ready
from tests.models.rsrefseg2.tiny import tiny2_model
from tests.tiny import random_image

SETTINGS = load_params(Path(__file__).parents[3] / "params.yaml").train
BATCH = Batch(
    images=[random_image(64, 64, seed) for seed in range(2)],
    texts=["the red ship", "harbor", "the large tank"],
    image_index=[0, 1, 1],
    masks=list(np.random.default_rng(0).random((3, 64, 64)) > 0.5),
    sample_ids=["a", "b", "c"],
    image_ids=["0", "1", "1"],
    categories=[None] * 3,
)


def step_of(model: System, **changes: object) -> TrainStep:
    return TrainStep(model, TrainConfig.model_validate({**SETTINGS.model_dump(), **changes}), 1, Accelerator(cpu=True))


def test_what_a_system_learns_besides_the_mask_is_part_of_the_loss(tmp_path: Path) -> None:
    model = tiny2_model(tmp_path)
    step = step_of(model, label_side=64)
    shown = BATCH.images, BATCH.texts, BATCH.image_index
    outputs = model.outputs(*shown)
    side = model.side_loss(outputs, *shown[1:], [torch.from_numpy(mask) for mask in BATCH.masks])
    assert side > 0.01
    torch.testing.assert_close(step.loss(BATCH), batch_loss(outputs.logits_NSS, BATCH, SETTINGS.loss, 64) + side)


def test_a_system_without_such_losses_is_shown_no_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny2_model(tmp_path)
    monkeypatch.setattr(model, "side_losses", False)
    forward: Callable[..., object] = model.forward
    monkeypatch.setattr(model, "forward", lambda images, texts, index: forward(images, texts, index))
    assert step_of(model).loss(BATCH).isfinite()


def test_every_group_of_parameters_follows_the_schedule_and_has_its_own_weight_decay(tmp_path: Path) -> None:
    step = step_of(ready(lavt_config(), tmp_path).float(), warmup_epochs=0, epochs=4, polynomial=1, final_lr_ratio=0)
    groups = {group["name"]: group for group in step.optimizer.param_groups}
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        **dict.fromkeys(("backbone", "decoder", "text"), SETTINGS.weight_decay), "backbone_undecayed": 0,
    }  # fmt: skip
    step.update(step.loss(BATCH))
    assert [group["lr"] for group in groups.values()] == pytest.approx([SETTINGS.lr * 3 / 4] * 4)
