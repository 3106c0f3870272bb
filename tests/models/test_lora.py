from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.clip import Clip
from models.config import ModelConfig
from models.lora import trains
from models.rsrefseg import RSRefSeg
from models.sam import Sam
from models.zoo import MODELS
from tests.tiny import VARIANTS, adapted_modules, random_image, tiny_config, tiny_model, tiny_tokenizer


def found(model: nn.Module) -> set[str]:
    """Names of the modules that have an adapter."""
    return {name.removesuffix(".lora_A") for name, _ in model.named_modules() if name.endswith(".lora_A")}


@pytest.mark.parametrize(
    ("variant", "count"),
    # 2 SAM layers x 4 + neck 2 + 2 vision layers x 4 + 1 text layer x 4 + head
    [("rsrefseg", 23), ("no_lora", 0), ("global_only", 23), ("local_only", 22), ("no_dense_prompt", 23)],
)
def test_a_variant_adapts_exactly_the_released_modules(variant: str, count: int, weights: Path) -> None:
    adapted = found(tiny_model(weights, variant))
    assert adapted == adapted_modules(tiny_config(VARIANTS[variant]))
    assert len(adapted) == count


def test_mini_adapts_exactly_the_released_modules(tmp_path: Path) -> None:
    config = ModelConfig.model_validate(MODELS["mini"])
    model = RSRefSeg(config, clip=Clip(config.clip, tiny_tokenizer(tmp_path)), sam=Sam(config.sam))
    assert found(model) == adapted_modules(config)
    # 4 per transformer layer of each encoder, SAM's two neck convolutions, the text head
    sam, vision, text = (
        settings["num_hidden_layers"] for settings in (config.sam.vision, config.clip.vision, config.clip.text)
    )
    assert len(found(model)) == 4 * (sam + vision + text) + 2 + 1


def test_local_only_does_not_adapt_the_text_head(weights: Path) -> None:
    assert "clip.model.text_model.head" in found(tiny_model(weights, "rsrefseg"))
    assert "clip.model.text_model.head" not in found(tiny_model(weights, "local_only"))


def test_adapters_start_as_the_identity(weights: Path) -> None:
    images, texts = [random_image(30, 40, 0), random_image(64, 64, 1)], ["the red ship", "road"]
    bare = tiny_model(weights, "no_lora", trained=False)
    adapted = tiny_model(weights, "rsrefseg", trained=False)
    with torch.no_grad():
        torch.testing.assert_close(adapted(images, texts, [0, 1]), bare(images, texts, [0, 1]), rtol=0, atol=1e-6)


def test_adapters_that_moved_change_the_logits(weights: Path) -> None:
    images, model = [random_image(30, 40, 0)], tiny_model(weights, trained=False)
    with torch.no_grad():
        before = model(images, ["road"], [0])
        for name, parameter in model.named_parameters():
            if ".lora_B" in name:
                parameter.fill_(0.1)
        assert (model(images, ["road"], [0]) - before).abs().max() > 1e-3


def test_rank_alpha_and_dropout_are_those_of_the_configuration(weights: Path) -> None:
    config = tiny_config({"lora": {"rank": 3, "alpha": 12, "dropout": 0.25}})
    model = RSRefSeg.from_foundation(config, weights)
    layer = model.get_submodule("clip.model.text_model.head")
    assert layer.lora_A["default"].weight.shape == (3, 32)
    assert layer.scaling["default"] == 4
    assert layer.lora_dropout["default"].p == 0.25


def test_the_base_weights_under_an_adapter_are_those_of_the_foundation(weights: Path) -> None:
    bare, adapted = tiny_model(weights, "no_lora").state_dict(), tiny_model(weights, "rsrefseg").state_dict()
    for name in adapted_modules(tiny_config()):
        assert torch.equal(adapted[f"{name}.base_layer.weight"], bare[f"{name}.weight"]), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sam.model.mask_decoder.transformer.layers.0.mlp.lin1.weight", True),
        ("sam.model.mask_decoder.output_hypernetworks_mlps.0.proj_in.weight", True),
        ("sam.model.mask_decoder.output_hypernetworks_mlps.1.proj_in.weight", False),
        ("sam.model.mask_decoder.output_hypernetworks_mlps.3.proj_in.weight", False),
        ("sam.model.mask_decoder.iou_prediction_head.proj_in.weight", False),
        ("sam.model.vision_encoder.layers.0.mlp.lin1.weight", False),
        ("sam.model.shared_image_embedding.positional_embedding", False),
        ("sam.model.prompt_encoder.point_embed.0.weight", False),
        ("clip.model.logit_scale", False),
        ("clip.model.logit_bias", False),
        ("clip.model.text_model.head.weight", False),
        ("clip.model.text_model.head.lora_A.default.weight", True),
        ("prompter.project.bias", True),
    ],
)
def test_a_name_says_whether_it_trains(name: str, expected: bool) -> None:
    assert trains(name, tiny_config().prompter) is expected


def test_only_the_mask_prompt_in_use_trains() -> None:
    dense, without = tiny_config().prompter, tiny_config(VARIANTS["no_dense_prompt"]).prompter
    given, none = "sam.model.prompt_encoder.mask_embed.conv1.weight", "sam.model.prompt_encoder.no_mask_embed.weight"
    assert [trains(given, dense), trains(none, dense)] == [True, False]
    assert [trains(given, without), trains(none, without)] == [False, True]
