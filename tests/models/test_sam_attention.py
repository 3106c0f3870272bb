"""Widened heads and late padding are another way of computing the same: held against transformers' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamVisionAttention

from models.config import SamConfig
from models.rsrefseg import RSRefSeg
from models.sam import Sam
from models.sam_attention import by_pair
from models.weights.foundation import load_clip
from tests.models.test_compute import gradients
from tests.tiny import _SAM, draw_weights, tiny_config

VISION = {**_SAM["vision"], "use_rel_pos": True, "window_size": 3}  # 8 x 8 tokens: nine windows, five of them padded


def sam(attention: str, **vision: object) -> Sam:
    torch.manual_seed(0)
    found = Sam(SamConfig.model_validate({**_SAM, "vision": {**VISION, **vision}}), attention)
    draw_weights(found, 0)  # also biases: what stands for a padded token is not zero
    return found


def outcome(model: Sam) -> dict[str, Tensor]:
    """What an encoder makes of noise, and every gradient."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, 64, 64, generator=generator).requires_grad_()
    output = model.model.vision_encoder(pixels).last_hidden_state
    (output * torch.randn(output.shape, generator=generator)).sum().backward()
    named = model.model.vision_encoder.named_parameters()
    return {"output": output, "pixels": pixels.grad, **{name: value.grad for name, value in named}}


@pytest.mark.parametrize(
    "vision",
    [{}, {"window_size": 4}, {"use_rel_pos": False}, {"qkv_bias": False}, {"hidden_size": 40}],
    ids=["padded", "even", "no positions", "no bias", "heads of 20"],
)
def test_widened_is_transformers_own_forward_and_backward(vision: dict[str, object]) -> None:
    expected, found = outcome(sam("eager", **vision)), outcome(sam("widened", **vision))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        value = value.detach()
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4 * float(value.abs().max()), msg=name)


def test_names_and_weights_stay_so_that_checkpoints_and_adapters_fit() -> None:
    plain, widened = sam("sdpa").state_dict(), sam("widened").state_dict()
    assert list(plain) == list(widened)
    assert all(torch.equal(plain[name], widened[name]) for name in plain)


def test_no_mask_is_given_and_a_flash_kernel_takes_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Tensor, ...]] = []
    whole = functional.scaled_dot_product_attention

    def note(*tensors: Tensor, **settings: object) -> Tensor:
        assert settings.keys() == {"scale"}
        asked.append(tensors)
        return whole(*tensors, **settings)

    monkeypatch.setattr("models.sam_attention.scaled_dot_product_attention", note)
    sam("widened").model.vision_encoder(torch.randn(1, 3, 64, 64))
    assert [tensors[0].shape[2] for tensors in asked] == [9, 64]  # tokens of a window, of the map
    for tensors in asked:
        widths = {tensor.shape[-1] for tensor in tensors}
        assert len(widths) == 1
        assert widths.pop() % 8 == 0


def test_tokens_lie_side_by_side_in_every_layer() -> None:
    encoder, seen = sam("widened").model.vision_encoder, []
    for layer in encoder.layers:
        layer.register_forward_hook(lambda _, __, output: seen.append(output.is_contiguous()))
    encoder(torch.randn(1, 3, 64, 64))
    assert seen == [True, True]


def test_positions_are_looked_up_as_transformers_does() -> None:
    table = torch.randn(13, 5)
    assert torch.equal(by_pair(table), SamVisionAttention.get_rel_pos(None, 7, 7, table))


def test_a_whole_model_with_adapters_learns_the_same(weights: Path) -> None:
    found = []
    for attention in ("sdpa", "widened"):
        compute = {"compute": {"attention": attention}}
        config = tiny_config(compute).model_copy(update={"sam": sam(attention).config})
        torch.manual_seed(0)
        model = RSRefSeg(config, clip=load_clip(config.clip, weights, attention), sam=sam(attention))
        draw_weights(model, 2)  # adapters start as the identity
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    largest = max(float(gradient.abs().max()) for gradient in found[0].values())  # some are zero but for rounding
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)
