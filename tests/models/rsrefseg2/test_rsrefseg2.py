from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.training.losses import weighted_loss
from models.checkpoint import save_tensors
from models.rsrefseg2.rsrefseg2 import RSRefSeg2
from models.weights.files import foundation_files
from tests.models.rsrefseg2.tiny import VARIANTS, tiny2_config, tiny2_model
from tests.tiny import draw_weights, random_image, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # one expression is long on purpose
SIZES = ((40, 72), (64, 64), (90, 51))
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
TEXTS = ["the red ship", "the large green tank in the upper left corner of the road", "harbor", "the red ship"]
IMAGE_INDEX = [2, 0, 0, 1]
MASKS = [torch.from_numpy(np.random.default_rng(0).random(SIZES[image]) > 0.4) for image in IMAGE_INDEX]

Ready = Callable[..., RSRefSeg2]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A model in eval mode, built once; read only. An `exact` one computes in float64."""
    built: dict[tuple[str, bool], RSRefSeg2] = {}

    def get(variant: str = "sam2", *, exact: bool = False) -> RSRefSeg2:
        if (variant, exact) not in built:
            model = tiny2_model(tmp_path_factory.mktemp("tokenizer"), variant)
            built[variant, exact] = model.double() if exact else model
        return built[variant, exact]

    return get


def whole_loss(model: RSRefSeg2) -> Tensor:
    outputs = model.outputs(IMAGES, TEXTS, IMAGE_INDEX)
    target = (torch.arange(outputs.logits_NSS.numel()).view_as(outputs.logits_NSS) % 7 < 3).float()
    mask = weighted_loss(outputs.logits_NSS, target, {"bce": 5, "squared_dice": 5})
    return mask + model.side_loss(outputs, TEXTS, IMAGE_INDEX, MASKS)


def test_a_prediction_is_the_same_alone_and_among_others(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant in ("sam2", "sam", "one_query", "padded"):
        with subtests.test(variant), torch.no_grad():
            model = ready(variant, exact=True)
            together = model(IMAGES, TEXTS, IMAGE_INDEX)
            assert together.std() > 0.05
            assert (together[0] - together[3]).abs().max() > 1e-3  # same words, other image
            assert (together[1] - together[2]).abs().max() > 1e-3  # same image, other words
            for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
                alone = model([IMAGES[image]], [text], [0])[0]
                torch.testing.assert_close(alone, together[number], rtol=0, atol=1e-9)


def test_each_image_and_each_expression_is_encoded_once(ready: Ready, subtests: pytest.Subtests) -> None:
    for variant in ("sam2", "sam"):
        with subtests.test(variant), torch.no_grad():
            model, calls = ready(variant), []
            parts = {**model.encoders(), "prompter": model.prompter.sparse, "decoder": model.sam.model.mask_decoder}
            hooks = [
                part.register_forward_pre_hook(
                    lambda _, args, kwargs, name=name, calls=calls: calls.append(
                        (name, len([*args, *kwargs.values()][0]))
                    ),
                    with_kwargs=True,
                )
                for name, part in parts.items()
            ]
            model.outputs(IMAGES, TEXTS, IMAGE_INDEX)
            for hook in hooks:
                hook.remove()
            expected = {"clip_vision": 3, "clip_text": 4, "sam": 3, "prompter": 4, "decoder": 4}
            assert sorted(calls) == sorted(expected.items())


def test_masks_come_at_each_image_s_own_size(ready: Ready) -> None:
    model = ready()
    logits, masks = (call(IMAGES, TEXTS, IMAGE_INDEX) for call in (model.predict_logits, model.predict))
    assert [mask.shape for mask in masks] == [SIZES[image] for image in IMAGE_INDEX]
    for values, mask in zip(logits, masks, strict=True):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(mask, values > 0)


def test_what_can_be_looked_at_is_the_dense_prompt(ready: Ready) -> None:
    model = ready()
    with torch.no_grad():
        heat = model.prompt(IMAGES, TEXTS, IMAGE_INDEX)[0].heat_NSS
    for found, expected in zip(model.activations(IMAGES, TEXTS, IMAGE_INDEX), heat.sigmoid().numpy(), strict=True):
        np.testing.assert_allclose(found["dense"], expected)
        assert 0 < expected.min() < expected.max() < 1


def test_a_model_that_trains_predicts_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="call eval"):
        tiny2_model(tmp_path).train().predict(IMAGES, TEXTS, IMAGE_INDEX)


def test_bad_expressions_and_indices_are_refused(ready: Ready, subtests: pytest.Subtests) -> None:
    for texts, image_index, message in (
        (["road", "?!"], [0, 0], r"expression '\?!' holds nothing that CLIP reads"),
        (["the ship"], [3], "expression 0 is about image 3, but there are 3 images"),
        ([], [], "0 expressions"),
    ):
        with subtests.test(message), pytest.raises(ValueError, match=message):
            ready().predict(IMAGES, texts, image_index)


def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one_does(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for variant in VARIANTS:
        with subtests.test(variant):
            model = tiny2_model(tmp_path, variant, trained=False).train()
            for name, parameter in model.named_parameters():  # B is zero at the start, and A would get no gradient
                if ".lora_B" in name:
                    draw_weights(nn.ParameterList([parameter]), 0)
            whole_loss(model).backward()
            for name, parameter in model.named_parameters():
                if not parameter.requires_grad:
                    assert parameter.grad is None, name
                    continue
                assert parameter.grad is not None, name
                if not name.endswith(("k_proj.bias", "key.bias")):  # a softmax does not feel the same added to all
                    assert parameter.grad.abs().max() > 1e-9, name


def test_only_encoders_are_computed_again_and_in_half_precision(tmp_path: Path, ready: Ready) -> None:
    model = tiny2_model(tmp_path, "light").train()
    parts = {"hiera": model.sam.model.vision_encoder.backbone.blocks[0].attn.qkv, "prompter": model.prompter.sparse}
    seen: list[tuple[str, torch.dtype]] = []
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, output, name=name: seen.append((name, output.dtype)))
    whole_loss(model).backward()
    assert sorted(seen, key=str) == [("hiera", torch.bfloat16)] * 2 + [("prompter", torch.float32)]
    with torch.no_grad():
        found, expected = (one(IMAGES, TEXTS, IMAGE_INDEX) for one in (model.eval(), ready()))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).std() < 0.1 * expected.std()


def test_what_is_trained_is_the_released_set_less_what_is_dead(ready: Ready, subtests: pytest.Subtests) -> None:
    layers = {"clip.model.vision_model": 2, "clip.model.text_model": 2}
    adapted = {
        f"{tower}.encoder.layers.{layer}.self_attn.{part}_proj"
        for tower, count in layers.items()
        for layer in range(count)
        for part in ("q", "k", "v", "out")
    } | {"clip.model.text_model.head"}
    encoder = "sam.model.vision_encoder"
    hiera = {f"{encoder}.backbone.blocks.{block}.attn.{part}" for block in range(5) for part in ("qkv", "proj")}
    hiera |= {f"{encoder}.neck.convs.{level}" for level in range(4)}
    plain = {f"{encoder}.layers.{layer}.attn.{part}" for layer in range(2) for part in ("qkv", "proj")}
    plain |= {f"{encoder}.neck.conv1", f"{encoder}.neck.conv2"}
    for variant, modules in (("sam2", adapted | hiera), ("sam", adapted | plain), ("no_lora", set())):
        with subtests.test(variant):
            model = ready(variant)
            names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
            assert {name.split(".lora_")[0] for name in names if ".lora_" in name} == modules
            others = {name for name in names if ".lora_" not in name}
            decoder = {name for name in others if name.startswith("sam.model.mask_decoder.")}
            dead = ("iou_prediction_head", "pred_obj_score_head", "mlps.1", "mlps.2", "mlps.3")
            assert decoder == {
                name
                for name, _ in model.named_parameters()
                if name.startswith("sam.model.mask_decoder.") and not any(part in name for part in dead)
            }
            rest = {name for name in others - decoder if not name.startswith(("prompter.", "sam.model.prompt_enc"))}
            memory = {"sam.model.no_memory_embedding"} if variant != "sam" else set()
            assert rest == {"contrast_scale", "clip.model.logit_scale", "clip.model.logit_bias"} | memory


def test_the_trained_state_makes_another_start_the_same_model(tmp_path: Path) -> None:
    one, other = tiny2_model(tmp_path), tiny2_model(tmp_path, trained=False)
    with torch.no_grad():
        expected = one(IMAGES, TEXTS, IMAGE_INDEX)
        assert (other(IMAGES, TEXTS, IMAGE_INDEX) - expected).abs().max() > 1e-3
        frozen = {name for name, parameter in one.named_parameters() if not parameter.requires_grad}
        state = {name: value for name, value in one.state_dict().items() if name in frozen} | one.trained_state()
        other.load_state_dict(state, strict=False)
        torch.testing.assert_close(other(IMAGES, TEXTS, IMAGE_INDEX), expected, rtol=0, atol=0)


def test_a_foundation_folder_gives_the_same_model_as_its_parts(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for variant in ("sam2", "sam"):
        with subtests.test(variant), torch.no_grad():
            parts, files = tiny2_model(tmp_path, variant, trained=False), foundation_files(tmp_path)
            base = {name.replace(".base_layer", ""): value for name, value in parts.state_dict().items()}
            for name, whole in (("clip", parts.clip.model.state_dict()), ("sam", parts.sam.distinct_state())):
                kept = {key.replace(".base_layer", "") for key in whole if ".lora_" not in key}
                save_tensors(files[name], {key: base[f"{name}.model.{key}"] for key in kept})
            torch.manual_seed(0)
            built = RSRefSeg2.from_foundation(parts.config, tmp_path).eval()
            built.load_state_dict(parts.trained_state(), strict=False)
            found, expected = (model(IMAGES, TEXTS, IMAGE_INDEX) for model in (built, parts))
            assert torch.equal(found, expected)


def test_merging_keeps_the_function_and_takes_every_adapter_away(tmp_path: Path) -> None:
    model = tiny2_model(tmp_path).double()
    with torch.no_grad():
        before = model(IMAGES, TEXTS, IMAGE_INDEX)
        model.merge_adapters()
        torch.testing.assert_close(model(IMAGES, TEXTS, IMAGE_INDEX), before, rtol=0, atol=1e-9)
    assert not [name for name, _ in model.named_parameters() if "lora" in name]
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_what_a_side_loss_of_weight_zero_needs_is_not_built_and_costs_nothing(ready: Ready, tmp_path: Path) -> None:
    model = ready("no_contrast")
    assert not hasattr(model, "contrast_scale")
    with torch.no_grad():
        outputs = model.outputs(IMAGES, TEXTS, IMAGE_INDEX)
        first, second = (nn.functional.normalize(query, dim=1) for query in (outputs.first_NC, outputs.second_NC))
        expected = 0.5 * (first * second).sum(1).square().mean()
        torch.testing.assert_close(model.side_loss(outputs, TEXTS, IMAGE_INDEX, MASKS), expected)


def test_a_clip_without_a_learnt_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clip\.family is 'clip': .* take a SigLIP"):
        tiny2_config({"clip": tiny_config(family="clip").clip})
