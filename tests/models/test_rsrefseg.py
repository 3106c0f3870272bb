from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from experiments.cost.memory import LiveBytes
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg, expressions_at_once, native_logits
from models.weights.foundation import load_clip, load_sam
from models.zoo import RSREFSEG
from tests.tiny import FAMILIES, VARIANTS, adapted_modules, random_image, tiny_config, tiny_model

PATHS = [  # variant and family: the pairs that predict in ways of their own
    *(("rsrefseg", family) for family in FAMILIES),
    *(("local_only", "siglip"), ("local_only", "clip")),  # the mean token: learnt zero, neutral caption
    ("global_only", "siglip2"),
    *(("formulation_paper", family) for family in FAMILIES),  # each pads after its end token in its own way
    *(("no_dense_prompt", "siglip"), ("no_lora", "clip"), ("grid_24", "siglip2"), ("text_frozen", "clip")),
]
CASES = [*PATHS, *((variant, "siglip") for variant in VARIANTS if variant not in dict(PATHS))]  # every variant
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


Ready = Callable[..., RSRefSeg]


@pytest.fixture(scope="module")
def ready(foundations: dict[str, Path]) -> Ready:
    """A model in eval mode, built once; read only. An `exact` one computes in float64."""
    built: dict[tuple[str, str, bool], RSRefSeg] = {}

    def get(variant: str = "rsrefseg", family: str = "siglip", *, exact: bool = False) -> RSRefSeg:
        key = (variant, family, exact)
        if key not in built:
            model = tiny_model(foundations[family], variant, family=family)
            built[key] = model.double() if exact else model
        return built[key]

    return get


# ----------------------------------------------------------------------- a prediction is about its image and its words


def test_a_prediction_is_the_same_alone_and_among_others(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
            model = ready(variant, family, exact=True)
            together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
            assert together.dtype == torch.float64
            assert together.std() > 0.05
            for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
                close(logits_of(model, [IMAGES[image]], [text], [0])[0], together[number])


def test_a_prediction_does_not_depend_on_the_order_of_images_or_expressions(
    ready: Ready, subtests: pytest.Subtests
) -> None:
    image_order, text_order = [2, 0, 1], [3, 0, 4, 2, 1]
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
            model = ready(variant, family, exact=True)
            together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
            shuffled = logits_of(
                model,
                [IMAGES[image] for image in image_order],
                [TEXTS[number] for number in text_order],
                [image_order.index(IMAGE_INDEX[number]) for number in text_order],
            )
            close(shuffled, together[text_order])


def test_a_prediction_does_not_depend_on_its_neighbours(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
            model = ready(variant, family, exact=True)
            short = logits_of(model, [IMAGES[0], IMAGES[1]], ["the red ship", "road"], [0, 1])
            long = logits_of(model, [IMAGES[0], IMAGES[2]], ["the red ship", TEXTS[1]], [0, 1])
            close(short[0], long[0])
            assert (short[1] - long[1]).abs().max() > 1e-3


def test_in_float32_batch_mates_change_no_more_than_the_rounding(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant, family in PATHS:
        with subtests.test(variant=variant, family=family):
            model = ready(variant, family)
            together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
            for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
                alone = logits_of(model, [IMAGES[image]], [text], [0])[0]
                torch.testing.assert_close(alone, together[number], rtol=0, atol=3e-4)  # up to 1.2e-4 seen


def test_both_the_words_and_the_image_matter(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
            logits = logits_of(
                ready(variant, family), IMAGES, ["the red ship", "the green tank", "the red ship"], [0, 0, 1]
            )
            assert (logits[0] - logits[1]).abs().max() > 1e-3  # other words, same image
            assert (logits[0] - logits[2]).abs().max() > 1e-3  # same words, other image


def test_the_variants_predict_differently(ready: Ready) -> None:
    found = {variant: logits_of(ready(variant), IMAGES, TEXTS, IMAGE_INDEX) for variant in VARIANTS}
    for one, other in combinations(VARIANTS, 2):
        assert (found[one] - found[other]).abs().max() > 1e-3, (one, other)


def test_each_image_and_each_expression_is_encoded_once(ready: Ready, subtests: pytest.Subtests) -> None:
    def count(name: str, module: nn.Module, calls: list[tuple[str, int]]) -> Any:
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: calls.append((name, len([*args, *kwargs.values()][0]))), with_kwargs=True
        )

    for variant, family in PATHS:
        with subtests.test(variant=variant, family=family):
            model = ready(variant, family)
            calls: list[tuple[str, int]] = []
            hooks = [
                count("clip image", model.clip.model.vision_model, calls),
                count("clip text", model.clip.model.text_model, calls),
                count("sam image", model.sam.model.vision_encoder, calls),
            ]
            logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
            for hook in hooks:
                hook.remove()
            neutral = family == "clip"  # its zero is one more caption
            assert sorted(calls) == [("clip image", 3), ("clip text", 5 + neutral), ("sam image", 3)]


def test_a_prediction_does_not_depend_on_how_many_expressions_go_at_once(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for variant, family in PATHS:
        model = ready(variant, family, exact=True)
        together = logits_of(model, IMAGES, TEXTS, IMAGE_INDEX)
        for at_once in (1, 2):
            with subtests.test(variant=variant, family=family, at_once=at_once), monkeypatch.context() as patch:
                patch.setattr(model, "at_once", at_once)
                close(logits_of(model, IMAGES, TEXTS, IMAGE_INDEX), together)


def test_training_takes_all_expressions_at_once_for_its_norms(weights: Path) -> None:
    found = []
    for at_once in (1, 100):
        model = tiny_model(weights, "no_lora").train()
        model.at_once = at_once
        found.append(model(IMAGES, TEXTS, IMAGE_INDEX))
    assert torch.equal(*found)


def test_the_memory_of_a_prediction_hardly_grows_with_the_expressions(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak(at_once: int, count: int) -> int:
        with monkeypatch.context() as patch, LiveBytes() as live:
            patch.setattr(model, "at_once", at_once)
            logits_of(model, IMAGES[:1], ["the red ship"] * count, [0] * count)
        return live.peak.activations

    model = ready()
    assert peak(64, 64) > 2 * peak(8, 64)
    assert peak(8, 64) < 2 * peak(8, 16)


def test_what_mini_evaluates_goes_at_once_and_the_paper_s_sizes_are_bounded(
    ready: Ready, subtests: pytest.Subtests
) -> None:
    assert ready().at_once == 2**26 // (32 * 8**2 + 32 * 8**2)
    for name, plain in RSREFSEG.items():
        config = ModelConfig.model_validate(plain)
        with subtests.test(name):
            at_once = expressions_at_once(
                (config.clip.width, config.prompter_grid), (config.sam.width, config.sam.grid)
            )
            assert 800 < at_once < 2000 if name == "mini" else 16 <= at_once <= 64


# ---------------------------------------------------------------------------------------------------- masks and logits


def test_logits_come_on_sam_s_mask_grid(ready: Ready) -> None:
    assert logits_of(ready(), IMAGES, TEXTS, IMAGE_INDEX).shape == (5, 32, 32)  # 4 x (64 px / patch 8)


def test_masks_come_at_each_image_s_own_size(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant in VARIANTS:
        with subtests.test(variant=variant):
            masks = ready(variant).predict(IMAGES, TEXTS, IMAGE_INDEX)
            assert [mask.shape for mask in masks] == [SIZES[image] for image in IMAGE_INDEX]
            assert all(isinstance(mask, np.ndarray) and mask.dtype == np.bool_ for mask in masks)


def test_a_mask_is_where_the_resized_logit_is_positive(ready: Ready) -> None:
    model = ready()
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


def test_predicting_keeps_no_graph(ready: Ready) -> None:
    model = ready()
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


def test_the_trained_set_is_the_declared_set(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
            parameters = dict(ready(variant, family).named_parameters())
            trained = {name for name, parameter in parameters.items() if parameter.requires_grad}
            assert trained == declared(variant, family, set(parameters))
            assert any(name.startswith("prompter.fuse.") for name in trained)
            assert any(name.startswith("sam.model.mask_decoder.transformer.") for name in trained)


def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one_changes(
    foundations: dict[str, Path], subtests: pytest.Subtests
) -> None:
    for variant, family in CASES:
        with subtests.test(variant=variant, family=family):
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


def test_the_trained_state_holds_all_that_training_changes_and_nothing_else(
    ready: Ready, subtests: pytest.Subtests
) -> None:
    for variant in VARIANTS:
        with subtests.test(variant=variant):
            model = ready(variant)
            expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
            statistics = {
                name for name in model.state_dict() if name.endswith(("running_mean", "running_var", "_tracked"))
            }
            assert statistics
            assert set(model.trained_state()) == expected | statistics


def test_what_a_variant_does_not_use_is_not_built(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant in VARIANTS:  # of the adapters: tests/models/test_lora.py
        with subtests.test(variant=variant):
            model, config = ready(variant), tiny_config(VARIANTS[variant])
            assert model.prompter.fuse[0].in_channels == (1 + config.prompter.local + config.prompter.global_) * 32
            assert len(model.prompter.shrink) == {2: 1, 4: 2, 8: 3}[config.prompter.downsample]


# ----------------------------------------------------------------------------------------------------------- bad input


def test_bad_expressions_and_indices_are_refused(ready: Ready, subtests: pytest.Subtests) -> None:
    model = ready()
    for texts, image_index, message in (
        (["road", "?!"], [0, 0], r"expression '\?!' holds nothing that CLIP reads"),
        (["the ship", "  \t"], [0, 0], "expression 1 is blank"),
        ([""], [0], "expression 0 is blank"),
        (["the ship"], [3], "expression 0 is about image 3, but there are 3 images"),
        (["the ship"], [-1], "expression 0 is about image -1"),
        (["the ship", "road"], [0], "2 expressions and 1 image indices"),
        ([], [], "0 expressions"),
    ):
        for name, call in (("forward", model), ("predict", model.predict)):
            with subtests.test(message, call=name), pytest.raises(ValueError, match=message):
                call(IMAGES, texts, image_index)


def test_an_image_that_is_not_uint8_channels_first_is_refused_by_its_place(
    ready: Ready, subtests: pytest.Subtests
) -> None:
    for name, image in (
        ("float", torch.rand(3, 8, 8)),
        ("channels last", torch.zeros(8, 8, 3, dtype=torch.uint8)),
        ("int64", torch.zeros(3, 8, 8, dtype=torch.int64)),
    ):
        with subtests.test(name), pytest.raises(ValueError, match=r"image 1 is .* give uint8 of shape \(3, h, w\)"):
            ready().predict([IMAGES[0], image], ["road"], [0])


def test_it_can_be_built_from_parts_or_from_a_folder(weights: Path) -> None:
    config = tiny_config()
    torch.manual_seed(0)
    parts = RSRefSeg(config, clip=load_clip(config.clip, weights), sam=load_sam(config.sam, weights)).eval()
    folder = tiny_model(weights, trained=False)
    one, other = (logits_of(model, IMAGES, ["road"], [1]) for model in (parts, folder))
    assert torch.equal(one, other)


# --------------------------------------------------------------------------------------------- what can be looked at


def test_activations_are_what_the_prompter_filtered_with(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant in VARIANTS:
        with subtests.test(variant=variant):
            model = ready(variant, exact=True)
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


def test_a_model_that_trains_shows_no_activations(weights: Path) -> None:
    with pytest.raises(RuntimeError, match="call eval"):
        tiny_model(weights).train().activations(IMAGES, TEXTS, IMAGE_INDEX)


def test_a_silent_start_is_sam_with_the_dense_prompt_alone(weights: Path) -> None:
    config = tiny_config({"prompter": {"start": "silent"}})
    model = RSRefSeg.from_foundation(config, weights).eval()
    images, texts = [random_image(1, 40, 56)], ["the red ship", "the road"]
    with torch.no_grad():
        prompts = model.prompt(images, texts, [0, 0])
        assert torch.equal(prompts.sparse_NMC, model.sam.no_point().expand_as(prompts.sparse_NMC))
    model.train()
    model(images, texts, [0, 0]).sum().backward()
    assert model.prompter.project.weight.grad is not None
    assert model.prompter.project.weight.grad.abs().sum() > 0, "it could never speak up"


def test_the_released_start_is_kaiming_s_and_torch_s_is_another(weights: Path) -> None:
    """mmcv's ConvModule: normal, fan-out, a gain of sqrt(2), zero bias."""
    released, plain = (
        RSRefSeg.from_foundation(tiny_config({"prompter": {"start": start}}), weights).prompter
        for start in ("released", "torch")
    )
    for conv in (released.fuse[0], released.shrink[0][0], released.project):
        fan_out = conv.weight.shape[0] * conv.kernel_size[0] * conv.kernel_size[1]
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
    assert released.project.bias.abs().sum() == 0
    assert plain.project.bias.abs().sum() > 0
