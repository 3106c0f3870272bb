"""A model that stands in for the trained one: the same in everything but its values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from experiments.cost.random_weights import build, make_batch
from experiments.training.step import TrainStep
from models.rsrefseg import RSRefSeg
from tests.experiments.cost.test_memory import SETTINGS, learner
from tests.tiny import FAMILIES, tiny_config, write_foundation


def shapes(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    return {
        name: (value.shape, value.dtype, value.device, value.requires_grad) for name, value in model.named_parameters()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stand_in_is_the_model_but_for_its_values(family: str, tmp_path: Path) -> None:
    config = tiny_config({"compute": {"attention": "eager"}}, family)
    ours, real = build(config), RSRefSeg.from_foundation(config, write_foundation(tmp_path, family=family))
    assert shapes(ours) == shapes(real)
    buffers = dict(ours.named_buffers())
    assert buffers.keys() == dict(real.named_buffers()).keys()
    for name, value in real.named_buffers():
        assert torch.equal(buffers[name], value), name
    assert ours.sam.model.prompt_encoder.shared_embedding is ours.sam.model.shared_image_embedding
    for name, encoder in real.encoders().items():
        assert ours.encoders()[name].config._attn_implementation == encoder.config._attn_implementation == "eager"


def test_a_batch_shares_its_expressions_out_among_its_images() -> None:
    batch = make_batch(16, 2, 5)
    assert [tuple(image.shape) for image in batch.images] == [(3, 16, 16)] * 2
    assert batch.image_index == [0, 1, 0, 1, 0]
    assert len(batch.texts) == len(batch.masks) == len(batch.sample_ids) == 5


def test_the_stand_in_computes_finite_masks_and_gradients_for_every_trained_parameter() -> None:
    model = build(learner()).train()
    batch = make_batch(128, 2, 4)
    step = TrainStep(model, SETTINGS, 1, Accelerator(cpu=True))
    step.update(step.loss(batch))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    logits = model.eval()(batch.images, batch.texts, batch.image_index)
    assert logits.isfinite().all()
    assert logits.shape == (4, 64, 64)


def test_nothing_initialises_weights_that_are_drawn_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    normal: Callable[..., torch.Tensor] = torch.Tensor.normal_

    def noted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(tensor.device.type)
        return normal(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "normal_", noted)
    build(tiny_config())
    assert set(seen) == {"meta"}
