from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from models.clip import Clip
from models.config import ModelConfig
from models.lora import trains
from models.rsrefseg import RSRefSeg
from models.sam import Sam
from models.zoo import RSREFSEG
from tests.tiny import FAMILIES, VARIANTS, adapted_modules, random_image, tiny_config, tiny_model

ADAPTED = Path(__file__).parent / "adapted"  # python -m tests.models.test_lora writes them anew
BUILT = ("mini", "rsrefseg-h", "rsrefseg-b-clip")  # a size of each kind; the others differ in numbers of layers
TEXT = [  # the variants whose text encoder has other adapters
    *("rsrefseg", "no_lora", "global_only", "local_only", "formulation_paper", "text_frozen", "text_upper_half")
]


def found(model: nn.Module) -> set[str]:
    """Names of the modules that have an adapter."""
    return {name.removesuffix(".lora_A") for name, _ in model.named_modules() if name.endswith(".lora_A")}


def bare(config: ModelConfig) -> RSRefSeg:
    """A model without memory."""
    with torch.device("meta"):
        return RSRefSeg(config, clip=Clip(config.clip, None), sam=Sam(config.sam))  # type: ignore[arg-type]


@cache
def adapted(variant: str, family: str = "siglip") -> set[str]:
    """Names of the adapted modules of the tiny model."""
    return found(bare(tiny_config(VARIANTS[variant], family)))


def adapted_of(name: str) -> list[str]:
    """Sorted names of the adapted modules of a named size."""
    return sorted(found(bare(ModelConfig.model_validate(RSREFSEG[name]))))


def test_a_variant_adapts_exactly_the_released_modules(subtests: pytest.Subtests) -> None:
    cases = [*((variant, "siglip") for variant in VARIANTS), *((variant, "clip") for variant in TEXT)]
    for variant, family in [*cases, ("rsrefseg", "siglip2"), ("local_only", "siglip2")]:
        with subtests.test(variant=variant, family=family):
            assert adapted(variant, family) == adapted_modules(tiny_config(VARIANTS[variant], family))


def test_as_many_modules_are_adapted_as_the_sizes_say(subtests: pytest.Subtests) -> None:
    # 2 SAM layers x 4 + neck 2 + 2 vision layers x 4 + 2 text layers x 4 + head
    for variant, count in {
        **{"rsrefseg": 27, "no_lora": 0, "local_only": 26, "formulation_paper": 26, "lora_rank_8": 27},
        **{"text_upper_half": 23, "text_frozen": 18, "no_dense_prompt": 27},
    }.items():
        with subtests.test(variant=variant):
            assert len(adapted(variant)) == count


def test_the_adapted_modules_of_a_named_size_are_those_on_record(subtests: pytest.Subtests) -> None:
    for name in RSREFSEG:
        with subtests.test(name):
            recorded = (ADAPTED / f"{name}.txt").read_text(encoding="utf-8").split()
            config = ModelConfig.model_validate(RSREFSEG[name])
            assert set(recorded) == adapted_modules(config)
            # 4 per transformer layer of each encoder, SAM's two neck convolutions, the text head
            sam, vision, text = (
                settings["num_hidden_layers"] for settings in (config.sam.vision, config.clip.vision, config.clip.text)
            )
            assert len(recorded) == 4 * (sam + vision + text) + 2 + 1
            if name in BUILT:
                assert adapted_of(name) == recorded


def test_there_is_a_record_of_every_named_size_and_no_other() -> None:
    assert {file.stem for file in ADAPTED.iterdir()} == set(RSREFSEG)


def test_the_upper_half_of_an_odd_number_of_layers_holds_the_middle_one(subtests: pytest.Subtests) -> None:
    for layers, first in ((1, 0), (2, 1), (3, 1), (4, 2)):
        with subtests.test(layers=layers):
            plain = tiny_config({"lora": {"text": "upper_half"}}).model_dump(by_alias=True)
            plain["clip"]["text"]["num_hidden_layers"] = layers
            names = found(bare(ModelConfig.model_validate(plain)))
            tuned = {name.split(".layers.")[1].split(".")[0] for name in names if "text_model.encoder" in name}
            assert tuned == {str(layer) for layer in range(first, layers)}


def test_merging_keeps_the_function_and_takes_every_adapter_away(
    foundations: dict[str, Path], subtests: pytest.Subtests
) -> None:
    images, texts = [random_image(30, 40, 0), random_image(64, 64, 1)], ["the red ship", "road"]
    for family in FAMILIES:
        with subtests.test(family):
            model = tiny_model(foundations[family], family=family)
            with torch.no_grad():
                before = model(images, texts, [0, 1])
                untrained = tiny_model(foundations[family], family=family, trained=False)(images, texts, [0, 1])
                model.merge_adapters()
                after = model(images, texts, [0, 1])
            assert not found(model)
            assert not [name for name, _ in model.named_parameters() if "lora" in name or "base_layer" in name]
            torch.testing.assert_close(after, before, rtol=0, atol=1e-4)
            assert (after - untrained).abs().max() > 1e-2  # the adapters had moved
            assert not any(parameter.requires_grad for parameter in model.parameters())  # it trains no more


def test_adapters_start_as_the_identity_and_change_the_logits_once_they_moved(weights: Path) -> None:
    images, texts = [random_image(30, 40, 0), random_image(64, 64, 1)], ["the red ship", "road"]
    without = tiny_model(weights, "no_lora", trained=False)
    adapted = tiny_model(weights, "rsrefseg", trained=False)
    with torch.no_grad():
        before = adapted(images, texts, [0, 1])
        torch.testing.assert_close(before, without(images, texts, [0, 1]), rtol=0, atol=1e-6)
        for name, parameter in adapted.named_parameters():
            if ".lora_B" in name:
                parameter.fill_(0.1)
        assert (adapted(images, texts, [0, 1]) - before).abs().amax((1, 2)).min() > 1e-3


def test_rank_alpha_and_dropout_are_those_of_the_configuration(weights: Path) -> None:
    config = tiny_config({"lora": {"rank": 3, "alpha": 12, "dropout": 0.25}})
    model = RSRefSeg.from_foundation(config, weights)
    layer = model.get_submodule("clip.model.text_model.head")
    assert layer.lora_A["default"].weight.shape == (3, 32)
    assert layer.scaling["default"] == 4
    assert layer.lora_dropout["default"].p == 0.25


def test_the_base_weights_under_an_adapter_are_those_of_the_foundation(weights: Path) -> None:
    without, adapted = tiny_model(weights, "no_lora").state_dict(), tiny_model(weights, "rsrefseg").state_dict()
    for name in adapted_modules(tiny_config()):
        assert torch.equal(adapted[f"{name}.base_layer.weight"], without[f"{name}.weight"]), name


def test_a_name_says_whether_it_trains(subtests: pytest.Subtests) -> None:
    for name, expected in {
        "sam.model.mask_decoder.transformer.layers.0.mlp.lin1.weight": True,
        "sam.model.mask_decoder.output_hypernetworks_mlps.0.proj_in.weight": True,
        "sam.model.mask_decoder.output_hypernetworks_mlps.1.proj_in.weight": False,
        "sam.model.mask_decoder.output_hypernetworks_mlps.3.proj_in.weight": False,
        "sam.model.mask_decoder.iou_prediction_head.proj_in.weight": False,
        "sam.model.vision_encoder.layers.0.mlp.lin1.weight": False,
        "sam.model.shared_image_embedding.positional_embedding": False,
        "sam.model.prompt_encoder.point_embed.0.weight": False,
        "clip.model.logit_scale": False,
        "clip.model.logit_bias": False,
        "clip.model.text_model.head.weight": False,
        "clip.model.text_model.head.lora_A.default.weight": True,
        "prompter.project.bias": True,
    }.items():
        with subtests.test(name):
            assert trains(name, tiny_config().prompter) is expected


def test_only_the_mask_prompt_in_use_trains() -> None:
    dense, without = tiny_config().prompter, tiny_config(VARIANTS["no_dense_prompt"]).prompter
    given, none = "sam.model.prompt_encoder.mask_embed.conv1.weight", "sam.model.prompt_encoder.no_mask_embed.weight"
    assert [trains(given, dense), trains(none, dense)] == [True, False]
    assert [trains(given, without), trains(none, without)] == [False, True]


if __name__ == "__main__":
    for size in RSREFSEG:
        (ADAPTED / f"{size}.txt").write_text("\n".join(adapted_of(size)) + "\n", encoding="utf-8")
