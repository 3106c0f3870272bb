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
from tests.tiny import FAMILIES, VARIANTS, adapted_modules, random_image, tiny_config, tiny_model

ADAPTED = Path(__file__).parent / "adapted"  # python -m tests.models.test_lora writes them anew
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def found(model: nn.Module) -> set[str]:
    """Names of the modules that have an adapter."""
    return {name.removesuffix(".lora_A") for name, _ in model.named_modules() if name.endswith(".lora_A")}


def adapted_of(name: str) -> list[str]:
    """Sorted names of the adapted modules of a named size, built without memory."""
    config = ModelConfig.model_validate(MODELS[name])
    with torch.device("meta"):
        model = RSRefSeg(config, clip=Clip(config.clip, None), sam=Sam(config.sam))  # type: ignore[arg-type]
    return sorted(found(model))


@EACH_FAMILY
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_adapts_exactly_the_released_modules(variant: str, family: str, foundations: dict[str, Path]) -> None:
    model = tiny_model(foundations[family], variant, family=family, trained=False)
    assert found(model) == adapted_modules(tiny_config(VARIANTS[variant], family))


@pytest.mark.parametrize(
    ("variant", "count"),
    # 2 SAM layers x 4 + neck 2 + 2 vision layers x 4 + 2 text layers x 4 + head
    [
        *[("rsrefseg", 27), ("no_lora", 0), ("local_only", 26), ("formulation_paper", 26), ("lora_rank_8", 27)],
        *[("text_upper_half", 23), ("text_frozen", 18), ("no_dense_prompt", 27)],
    ],
)
def test_as_many_modules_are_adapted_as_the_sizes_say(variant: str, count: int, weights: Path) -> None:
    assert len(found(tiny_model(weights, variant, trained=False))) == count


@pytest.mark.parametrize("name", MODELS)
def test_the_adapted_modules_of_a_named_size_are_those_on_record(name: str) -> None:
    recorded = (ADAPTED / f"{name}.txt").read_text(encoding="utf-8").split()
    assert adapted_of(name) == recorded
    config = ModelConfig.model_validate(MODELS[name])
    assert set(recorded) == adapted_modules(config)
    # 4 per transformer layer of each encoder, SAM's two neck convolutions, the text head
    sam, vision, text = (
        settings["num_hidden_layers"] for settings in (config.sam.vision, config.clip.vision, config.clip.text)
    )
    assert len(recorded) == 4 * (sam + vision + text) + 2 + 1


def test_there_is_a_record_of_every_named_size_and_no_other() -> None:
    assert {file.stem for file in ADAPTED.iterdir()} == set(MODELS)


@pytest.mark.parametrize(("layers", "first"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_the_upper_half_of_an_odd_number_of_layers_holds_the_middle_one(layers: int, first: int) -> None:
    plain = tiny_config({"lora": {"text": "upper_half"}}).model_dump(by_alias=True)
    plain["clip"]["text"]["num_hidden_layers"] = layers
    config = ModelConfig.model_validate(plain)
    with torch.device("meta"):
        model = RSRefSeg(config, clip=Clip(config.clip, None), sam=Sam(config.sam))  # type: ignore[arg-type]
    tuned = {name.split(".layers.")[1].split(".")[0] for name in found(model) if "text_model.encoder" in name}
    assert tuned == {str(layer) for layer in range(first, layers)}


@EACH_FAMILY
def test_merging_keeps_the_function_and_takes_every_adapter_away(family: str, foundations: dict[str, Path]) -> None:
    images, texts = [random_image(30, 40, 0), random_image(64, 64, 1)], ["the red ship", "road"]
    model = tiny_model(foundations[family], family=family)
    with torch.no_grad():
        before = model(images, texts, [0, 1])
        bare = tiny_model(foundations[family], family=family, trained=False)(images, texts, [0, 1])
        model.merge_adapters()
        after = model(images, texts, [0, 1])
    assert not found(model)
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "base_layer" in name]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)
    assert (after - bare).abs().max() > 1e-2  # the adapters had moved


def test_a_merged_model_trains_no_more(weights: Path) -> None:
    model = tiny_model(weights)
    model.merge_adapters()
    assert not any(parameter.requires_grad for parameter in model.parameters())


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


if __name__ == "__main__":
    for size in MODELS:
        (ADAPTED / f"{size}.txt").write_text("\n".join(adapted_of(size)) + "\n", encoding="utf-8")
