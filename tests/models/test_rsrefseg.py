from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.rsrefseg import RSRefSeg, native_logits
from models.weights.foundation import load_clip, load_sam
from tests.tiny import FAMILIES, VARIANTS, adapted_modules, random_image, tiny_config, tiny_model

EACH_VARIANT = pytest.mark.parametrize("variant", VARIANTS)
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)
pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # one expression is long on purpose
SIZES = ((40, 72), (64, 64), (90, 51))
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
TEXTS = [
    "the red ship",
    "the large green tank in the upper left corner of the road",  # longer than the tokenizer keeps
    "harbor",
    "the small red ship right of the harbor",
    "road",
]
IMAGE_INDEX = [2, 0, 0, 1, 2]


def logits_of(model: RSRefSeg, images: list[Tensor], texts: list[str], image_index: list[int]) -> Tensor:
    with torch.no_grad():
        return model(images, texts, image_index)


def close(one: Tensor, other: Tensor) -> None:
    """Equal but for the rounding of float64, in which these models compute: what is left over is a real dependence."""
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def exact_model(foundations: dict[str, Path], family: str, variant: str) -> RSRefSeg:
    return tiny_model(foundations[family], variant, family=family).double()


# ----------------------------------------------------------------------- a prediction is about its image and its words


@EACH_FAMILY
@EACH_VARIANT
def test_a_prediction_is_the_same_alone_and_among_others(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = exact_model(foundations, family, variant)
    together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
    assert together.dtype == torch.float64
    assert together.std() > 0.05
    for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
        close(logits_of(model, [IMAGES[image]], [text], [0])[0], together[number])


@EACH_FAMILY
@EACH_VARIANT
def test_a_prediction_does_not_depend_on_the_order_of_images_or_expressions(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = exact_model(foundations, family, variant)
    together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
    image_order, text_order = [2, 0, 1], [3, 0, 4, 2, 1]
    shuffled = logits_of(
        model,
        [IMAGES[image] for image in image_order],
        [TEXTS[number] for number in text_order],
        [image_order.index(IMAGE_INDEX[number]) for number in text_order],
    )
    close(shuffled, together[text_order])


@EACH_FAMILY
@EACH_VARIANT
def test_a_prediction_does_not_depend_on_its_neighbours(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = exact_model(foundations, family, variant)
    short = logits_of(model, [IMAGES[0], IMAGES[1]], ["the red ship", "road"], [0, 1])
    long = logits_of(model, [IMAGES[0], IMAGES[2]], ["the red ship", TEXTS[1]], [0, 1])
    close(short[0], long[0])
    assert (short[1] - long[1]).abs().max() > 1e-3


@EACH_FAMILY
@EACH_VARIANT
def test_in_float32_batch_mates_change_no_more_than_the_rounding(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = tiny_model(foundations[family], variant, family=family)
    together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
    for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
        alone = logits_of(model, [IMAGES[image]], [text], [0])[0]
        torch.testing.assert_close(alone, together[number], rtol=0, atol=3e-4)  # up to 1.2e-4 seen


@EACH_FAMILY
@EACH_VARIANT
def test_both_the_words_and_the_image_matter(variant: str, family: str, foundations: dict[str, Path]) -> None:
    model = tiny_model(foundations[family], variant, family=family)
    logits = logits_of(model, IMAGES, ["the red ship", "the green tank", "the red ship"], [0, 0, 1])
    assert (logits[0] - logits[1]).abs().max() > 1e-3  # other words, same image
    assert (logits[0] - logits[2]).abs().max() > 1e-3  # same words, other image


def test_the_variants_predict_differently(weights: Path) -> None:
    found = [logits_of(tiny_model(weights, variant), IMAGES, TEXTS, IMAGE_INDEX) for variant in VARIANTS]
    for number, one in enumerate(found):
        for other in found[:number]:
            assert (one - other).abs().max() > 1e-3


@EACH_FAMILY
@EACH_VARIANT
def test_each_image_and_each_expression_is_encoded_once(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = tiny_model(foundations[family], variant, family=family)
    calls: list[tuple[str, int]] = []

    def count(name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(
            lambda _, args, kwargs: calls.append((name, len([*args, *kwargs.values()][0]))), with_kwargs=True
        )

    count("clip image", model.clip.model.vision_model)
    count("clip text", model.clip.model.text_model)
    count("sam image", model.sam.model.vision_encoder)
    logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
    neutral = family == "clip"  # its zero is one more caption
    assert sorted(calls) == [("clip image", 3), ("clip text", 5 + neutral), ("sam image", 3)]


# ---------------------------------------------------------------------------------------------------- masks and logits


def test_logits_come_on_sam_s_mask_grid(weights: Path) -> None:
    model = tiny_model(weights)
    assert logits_of(model, IMAGES, TEXTS, IMAGE_INDEX).shape == (5, 32, 32)  # 4 x (64 px / patch 8)


@EACH_VARIANT
def test_masks_come_at_each_image_s_own_size(variant: str, weights: Path) -> None:
    masks = tiny_model(weights, variant).predict(IMAGES, TEXTS, IMAGE_INDEX)
    assert [mask.shape for mask in masks] == [SIZES[image] for image in IMAGE_INDEX]
    assert all(isinstance(mask, np.ndarray) and mask.dtype == np.bool_ for mask in masks)


def test_a_mask_is_where_the_resized_logit_is_positive(weights: Path) -> None:
    model = tiny_model(weights)
    logits = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
    masks = model.predict(IMAGES, TEXTS, IMAGE_INDEX)
    for number, image in enumerate(IMAGE_INDEX):
        resized = interpolate(logits[[number]].unsqueeze(1), size=SIZES[image], mode="bilinear")[0, 0]
        sure = (resized.abs() > 1e-5).numpy()
        np.testing.assert_array_equal(masks[number][sure], (resized > 0).numpy()[sure])
    assert any(0 < mask.mean() < 1 for mask in masks)


def test_masks_keep_the_orientation_of_the_grid() -> None:
    logits = torch.full((1, 32, 32), -1.0)
    logits[0, :8] = 1.0  # the upper quarter
    wide = torch.zeros(3, 40, 100, dtype=torch.uint8)
    (mask,) = [values > 0 for values in native_logits(logits, [wide])]
    assert mask[:10].all()
    assert not mask[10:].any()


def test_predicting_keeps_no_graph(weights: Path) -> None:
    model = tiny_model(weights)
    model.predict(IMAGES[:1], ["road"], [0])
    assert all(parameter.grad is None for parameter in model.parameters())


# --------------------------------------------------------------------------------------------------------- what trains


def declared(variant: str, family: str, names: set[str]) -> set[str]:
    """What a variant trains, after the released recipe, less what its mask does not depend on."""
    config = tiny_config(VARIANTS[variant], family)
    adapters = {f"{module}.lora_{side}.default.weight" for module in adapted_modules(config) for side in "AB"}
    prompt = "no_mask_embed" if variant == "no_dense_prompt" else "mask_embed"
    whole = ("prompter.", "sam.model.mask_decoder.", f"sam.model.prompt_encoder.{prompt}.")
    unused = tuple(  # the decoder's own estimate of IoU, and its second and third mask
        f"sam.model.mask_decoder.{part}."
        for part in ("iou_prediction_head", "output_hypernetworks_mlps.1", "output_hypernetworks_mlps.2")
    )
    return adapters | {name for name in names if name.startswith(whole) and not name.startswith(unused)}


@EACH_FAMILY
@EACH_VARIANT
def test_the_trained_set_is_the_declared_set(variant: str, family: str, foundations: dict[str, Path]) -> None:
    parameters = dict(tiny_model(foundations[family], variant, family=family).named_parameters())
    trained = {name for name, parameter in parameters.items() if parameter.requires_grad}
    assert trained == declared(variant, family, set(parameters))
    assert any(name.startswith("prompter.fuse.") for name in trained)
    assert any(name.startswith("sam.model.mask_decoder.transformer.") for name in trained)


@EACH_FAMILY
@EACH_VARIANT
def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one_changes(
    variant: str, family: str, foundations: dict[str, Path]
) -> None:
    model = tiny_model(foundations[family], variant, family=family, trained=False).train()
    everything = dict(model.named_parameters())  # the optimiser holds the frozen ones too
    optimizer = torch.optim.AdamW(everything.values(), lr=1e-2, weight_decay=0.1)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for _ in range(2):  # LoRA's B is zero at the start, so its A gets a gradient from the second step on
        logits = model(IMAGES, TEXTS, IMAGE_INDEX)
        optimizer.zero_grad(set_to_none=True)
        target = (torch.arange(logits.numel()).view_as(logits) % 7 < 3).float()
        nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        gradients = {name: parameter.grad for name, parameter in everything.items()}
        optimizer.step()
    trained = model.trained_state().keys()
    for name, parameter in everything.items():
        gradient = gradients[name]
        if not parameter.requires_grad:
            assert gradient is None, name
            continue
        assert gradient is not None, name
        if not name.endswith("k_proj.bias"):  # a softmax does not feel a constant added to all its inputs
            assert gradient.abs().max() > 1e-9, name
            assert not torch.equal(parameter, before[name]), name
    for name, value in model.state_dict().items():
        if name not in trained:
            assert torch.equal(value, before[name]), name


@EACH_VARIANT
def test_the_trained_state_holds_all_that_training_changes_and_nothing_else(variant: str, weights: Path) -> None:
    model = tiny_model(weights, variant)
    expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    statistics = {name for name in model.state_dict() if name.endswith(("running_mean", "running_var", "_tracked"))}
    assert statistics
    assert set(model.trained_state()) == expected | statistics


@EACH_VARIANT
def test_no_adapter_is_in_the_mask_decoder_the_prompt_encoder_or_the_prompter(variant: str, weights: Path) -> None:
    names = [name for name, _ in tiny_model(weights, variant).named_modules() if ".lora_" in name]
    assert not [name for name in names if name.startswith(("prompter.", "sam.model.mask_dec", "sam.model.prompt_enc"))]


@EACH_VARIANT
def test_what_a_variant_does_not_use_is_not_built(variant: str, weights: Path) -> None:
    model, config = tiny_model(weights, variant), tiny_config(VARIANTS[variant])
    assert model.prompter.fuse[0].in_channels == (1 + config.prompter.local + config.prompter.global_) * 32
    assert len(model.prompter.shrink) == {2: 1, 4: 2, 8: 3}[config.prompter.downsample]
    adapters = [name for name, _ in model.named_modules() if ".lora_" in name]
    assert bool(adapters) == (variant != "no_lora")
    assert any("text_model.head" in name for name in adapters) == (
        variant not in ("no_lora", "local_only", "formulation_paper", "text_frozen")
    )


# ----------------------------------------------------------------------------------------------------------- bad input


def test_an_expression_that_clip_cannot_read_is_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match=r"expression '\?!' holds nothing that CLIP reads"):
        tiny_model(weights).predict(IMAGES, ["road", "?!"], [0, 0])


@pytest.mark.parametrize(
    ("texts", "image_index", "message"),
    [
        (["the ship", "  \t"], [0, 0], "expression 1 is blank"),
        ([""], [0], "expression 0 is blank"),
        (["the ship"], [3], "expression 0 is about image 3, but there are 3 images"),
        (["the ship"], [-1], "expression 0 is about image -1"),
        (["the ship", "road"], [0], "2 expressions and 1 image indices"),
        ([], [], "0 expressions"),
    ],
)
def test_bad_expressions_and_indices_are_refused(
    texts: list[str], image_index: list[int], message: str, weights: Path
) -> None:
    model = tiny_model(weights)
    for call in (model, model.predict):
        with pytest.raises(ValueError, match=message):
            call(IMAGES, texts, image_index)


@pytest.mark.parametrize(
    "image",
    [torch.rand(3, 8, 8), torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.int64)],
    ids=["float", "channels last", "int64"],
)
def test_an_image_that_is_not_uint8_channels_first_is_refused_by_its_place(image: Tensor, weights: Path) -> None:
    with pytest.raises(ValueError, match=r"image 1 is .* give uint8 of shape \(3, h, w\)"):
        tiny_model(weights).predict([IMAGES[0], image], ["road"], [0])


def test_it_can_be_built_from_parts_or_from_a_folder(weights: Path) -> None:
    config = tiny_config()
    torch.manual_seed(0)
    parts = RSRefSeg(config, clip=load_clip(config.clip, weights), sam=load_sam(config.sam, weights)).eval()
    folder = tiny_model(weights, trained=False)
    one, other = (logits_of(model, IMAGES, ["road"], [1]) for model in (parts, folder))
    assert torch.equal(one, other)


# --------------------------------------------------------------------------------------------- what can be looked at


@EACH_VARIANT
def test_activations_are_what_the_prompter_filtered_with(variant: str, foundations: dict[str, Path]) -> None:
    model = exact_model(foundations, "siglip", variant)
    config = model.config.prompter
    with torch.no_grad():
        prompts = model.prompt(IMAGES, TEXTS, IMAGE_INDEX)
    found = model.activations(IMAGES, TEXTS, IMAGE_INDEX)
    dense = None if prompts.heat_NHW is None else prompts.heat_NHW.sigmoid()
    expected = {"local": prompts.local_NHW, "global": prompts.global_NHW, "dense": dense}
    has = {"local": config.local, "global": config.global_, "dense": config.dense}
    assert len(found) == len(TEXTS)
    for place, maps in enumerate(found):
        assert set(maps) == {name for name, there in has.items() if there}
        for name, values in maps.items():
            whole = expected[name]
            assert whole is not None
            np.testing.assert_allclose(values, whole[place].numpy(), atol=1e-6)
            assert 0 <= values.min() < values.max() <= 1
    model.train()
    with pytest.raises(RuntimeError, match="call eval"):
        model.activations(IMAGES, TEXTS, IMAGE_INDEX)
