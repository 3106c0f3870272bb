"""Parity with the official code, and what is refused.

Two results agree to R relative when max |official - ours| < R x max |official| over the whole tensor, and also element
by element, |official - ours| <= R x (|official| + mean |official|).
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from models.checkpoint import CheckpointError
from models.config import SamConfig, SettingError
from models.pixels import prepare_images
from models.sam import Sam
from models.weights.sam_official import official_sam, read_official_sam, transformers_names
from models.zoo import MODELS
from tests.models.weights.official import (
    PROMPTS,
    SIDE,
    TINY,
    drawn,
    official_answer,
    our_answer,
    ours_from,
    random_official,
    randomised,
    sam_config,
)
from tests.tiny import random_image

PARITY = 1e-4
IMAGE = random_image(SIDE, SIDE, 0)
PUBLISHED = {f"rsrefseg-{size}": f"vit_{size}" for size in "blh"}


def difference(official: Tensor, ours: Tensor) -> float:
    """max |official - ours| / max |official|."""
    assert official.shape == ours.shape
    return ((official - ours).abs().max() / official.abs().max()).item()


def assert_same(what: str, official: Tensor, ours: Tensor, parity: float = PARITY) -> None:
    assert difference(official, ours) < parity, what
    atol = parity * official.abs().mean().item()
    torch.testing.assert_close(ours, official, rtol=parity, atol=atol, msg=lambda text: f"{what}: {text}")


def assert_parity(official: nn.Module, ours: Sam, image: Tensor, parity: float = PARITY) -> None:
    """From the same uint8 image and the same prompts to the same embedding, masks and scores."""
    official_image = official.image_encoder(official.preprocess(image.float()).unsqueeze(0))
    our_image = ours.encode([image])
    assert_same("image embedding", official_image, our_image, parity)
    for name, prompt in PROMPTS.items():
        for many in (False, True):
            full = drawn(prompt, ours.config)
            theirs = official_answer(official, official_image, full, many)
            found = our_answer(ours, our_image, full, many)
            assert theirs[0].std() > 0.05  # a mask, not a constant
            for what, one, other in zip(("masks", "scores"), theirs, found, strict=True):
                assert_same(f"{name}, {'all' if many else 'first'} {what}", one, other, parity)


@pytest.fixture(scope="module")
def config() -> SamConfig:
    return sam_config()


@pytest.fixture(scope="module")
def official(config: SamConfig) -> nn.Module:
    return random_official(config)


@pytest.fixture(scope="module")
def checkpoint(official: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an official checkpoint is: torch.save of the state; read only."""
    file = tmp_path_factory.mktemp("official") / "sam_vit_t_012345.pth"
    torch.save(official.state_dict(), file)
    return file


# -------------------------------------------------------------------------------------------------------------- parity


def test_the_converted_model_answers_as_the_official_one_does(tmp_path: Path, subtests: pytest.Subtests) -> None:
    transformers_eps = {"layer_norm_eps": 1e-6}  # of transformers' configuration
    for attention, changes, seed, parity in (
        *(("sdpa", {}, 0, PARITY / 5), ("eager", {}, 0, PARITY / 5)),
        *(("sdpa", transformers_eps, 1, PARITY), ("sdpa", transformers_eps, 2, PARITY)),
    ):
        with subtests.test(attention=attention, changes=changes, seed=seed):
            config = sam_config(**changes)
            official = random_official(config, seed)
            torch.save(official.state_dict(), tmp_path / "sam.pth")
            ours = ours_from(read_official_sam(config, tmp_path / "sam.pth"), config, attention)
            assert_parity(official, ours, IMAGE, parity)


def test_in_double_precision_the_two_are_one_function(config: SamConfig, official: nn.Module, checkpoint: Path) -> None:
    ours = ours_from(read_official_sam(config, checkpoint), config)
    prompt = PROMPTS["three points on and off"]
    sparse, dense = official.prompt_encoder((prompt["points"], prompt["labels"]), None, None)  # for float32 only
    assert torch.equal(sparse, ours.embed_points(prompt["points"], prompt["labels"]))
    places = official.prompt_encoder.get_dense_pe()
    assert torch.equal(places, ours.positional_encoding(8, 8))
    sparse, dense, places = sparse.double(), dense.double(), places.double()
    pixels = official.preprocess(IMAGE.float()).unsqueeze(0).double()
    official, ours = deepcopy(official).double(), ours.double()
    image = official.image_encoder(pixels)
    assert_same("image embedding", image, ours.model.vision_encoder(pixels).last_hidden_state, 1e-12)
    theirs = official.mask_decoder.predict_masks(image, places, sparse, dense)
    for many, part in ((False, slice(0, 1)), (True, slice(1, None))):
        found = ours.model.mask_decoder(image.expand(2, -1, -1, -1), places, sparse.unsqueeze(1), dense, many)
        for what, one, other in zip(("masks", "scores"), theirs, found, strict=True):
            assert_same(what, one[:, part], other.squeeze(1), 1e-12)


def test_both_codes_give_the_network_the_same_pixels(config: SamConfig, official: nn.Module) -> None:
    sam = Sam(config)
    theirs = official.preprocess(IMAGE.float()).unsqueeze(0)
    assert_same("pixels", theirs, prepare_images([IMAGE], SIDE, sam.pixel_mean, sam.pixel_std), 1e-6)
    torch.testing.assert_close(official.pixel_mean, 255 * sam.pixel_mean)
    torch.testing.assert_close(official.pixel_std, 255 * sam.pixel_std)


def test_the_answers_compared_depend_on_every_weight(config: SamConfig, official: nn.Module) -> None:
    def decoded(sam: nn.Module, image: Tensor) -> Tensor:
        found = []
        for name in ("three points on and off", "a box and a mask"):
            prompt = drawn(PROMPTS[name], config)
            points = (prompt["points"], prompt["labels"]) if "points" in prompt else None
            sparse, dense = sam.prompt_encoder(points, prompt.get("boxes"), prompt.get("masks"))
            found += sam.mask_decoder.predict_masks(image, sam.prompt_encoder.get_dense_pe(), sparse, dense)
        return torch.cat([part.flatten() for part in found])

    pixels = official.preprocess(IMAGE.float()).unsqueeze(0)
    changed, image = deepcopy(official), official.image_encoder(pixels)
    before = decoded(official, image)
    for name, value in changed.state_dict().items():
        kept = value.clone()
        value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)), alpha=0.5)
        if name.startswith("image_encoder"):  # of which the decoder is a function
            moved = difference(image, changed.image_encoder(pixels))
        else:
            moved = difference(before, decoded(changed, image))
        if name.endswith("k_proj.bias"):  # adds the same to every logit of a softmax
            assert moved < 1e-4, name
        else:
            assert moved > 1e-3, name
        value.copy_(kept)


@pytest.mark.slow
def test_a_whole_vit_b_at_1024_pixels_answers_as_the_official_one_does(tmp_path: Path) -> None:
    config = SamConfig.model_validate(MODELS["rsrefseg-b"]["sam"])
    official = randomised(sam_model_registry["vit_b"], 0)
    torch.save(official.state_dict(), tmp_path / "sam_vit_b.pth")
    ours = ours_from(read_official_sam(config, tmp_path / "sam_vit_b.pth"), config)
    with torch.no_grad():
        assert_parity(official, ours, random_image(1024, 1024, 0))


# --------------------------------------------------------------------------------------------------------- what is kept


def test_every_official_weight_lands_in_one_of_ours_unchanged(
    config: SamConfig, official: nn.Module, checkpoint: Path
) -> None:
    theirs, found = official.state_dict(), read_official_sam(config, checkpoint)
    names = transformers_names(theirs)
    assert len(set(names.values())) == len(theirs) == len(found)
    assert set(found) == set(Sam(config).distinct_state())
    for key, name in names.items():
        assert torch.equal(theirs[key], found[name]), key


def test_at_any_size_the_names_and_shapes_are_ours(subtests: pytest.Subtests) -> None:
    sizes = {name: SamConfig.model_validate(MODELS[name]["sam"]) for name in ("mini", *PUBLISHED)}
    for name, config in {**sizes, **{f"scores by {n} layers": sam_config(iou_head_depth=n) for n in (2, 4, 5)}}.items():
        with subtests.test(name):
            with torch.device("meta"):
                official, ours = official_sam(config).state_dict(), Sam(config).distinct_state()
            names = transformers_names(official)
            assert {names[key]: value.shape for key, value in official.items()} == {
                key: value.shape for key, value in ours.items()
            }


def test_at_the_published_sizes_the_official_model_is_the_registry_s(subtests: pytest.Subtests) -> None:
    for size, registered_as in PUBLISHED.items():
        with subtests.test(size):
            with torch.device("meta"):
                ours = official_sam(SamConfig.model_validate(MODELS[size]["sam"]))
                registered = sam_model_registry[registered_as]()
            assert repr(ours) == repr(registered)
            for (name, one), (_, other) in zip(ours.named_modules(), registered.named_modules(), strict=True):
                assert settings(one) == settings(other), name
            assert torch.equal(ours.pixel_mean, registered.pixel_mean)
            assert torch.equal(ours.pixel_std, registered.pixel_std)


def settings(module: nn.Module) -> dict[str, Any]:
    """What a module is besides its weights: heads, windows, eps, sizes."""
    return {key: value for key, value in vars(module).items() if isinstance(value, int | float | str | tuple)}


def test_the_stored_type_is_kept(config: SamConfig, official: nn.Module, tmp_path: Path) -> None:
    torch.save(deepcopy(official).half().state_dict(), tmp_path / "half.pth")
    found = read_official_sam(config, tmp_path / "half.pth")
    assert {value.dtype for value in found.values()} == {torch.float16}


def test_what_is_returned_outlives_the_file(config: SamConfig, official: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "sam.pth"
    torch.save(official.state_dict(), file)
    found = read_official_sam(config, file)
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(found["vision_encoder.pos_embed"], official.image_encoder.pos_embed)
    assert [left.name for left in tmp_path.iterdir()] == ["sam.pth"]


# ------------------------------------------------------------------------------------------------------ what is refused


def refusal(config: SamConfig, file: Path, content: object = None) -> str:
    """The message with which `file`, of `content` if that is given, is refused; nothing else may be left behind."""
    if content is not None:
        torch.save(content, file)
    beside = set(file.parent.iterdir())
    with pytest.raises(CheckpointError) as refused:
        read_official_sam(config, file)
    assert str(file) in str(refused.value)
    assert set(file.parent.iterdir()) == beside
    return str(refused.value)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def test_a_file_that_would_execute_code_is_refused_and_executes_none(
    config: SamConfig, official: nn.Module, tmp_path: Path
) -> None:
    file, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    message = refusal(config, file, {**official.state_dict(), "more": Trap(sprung)})
    assert "nothing in it was executed" in message
    assert f"{os.mkdir.__module__}.mkdir" in message
    assert not sprung.exists()
    torch.load(file, weights_only=False)
    assert sprung.exists()  # it was armed


def test_nor_does_a_bare_pickle(config: SamConfig, tmp_path: Path) -> None:
    file, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    torch.save(Trap(sprung), file, _use_new_zipfile_serialization=False)
    assert "not a whole file of torch.save" in refusal(config, file)
    assert not sprung.exists()


def test_a_whole_pickled_model_is_refused(config: SamConfig, official: nn.Module, tmp_path: Path) -> None:
    message = refusal(config, tmp_path / "model.pth", official)
    assert "more than tensors (segment_anything.modeling" in message


def test_what_is_no_whole_file_of_torch_save_is_refused(
    config: SamConfig, checkpoint: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    whole = checkpoint.read_bytes()
    for name, content in (
        *((f"truncated, {kept} kept", whole[: int(kept * len(whole))]) for kept in (0.0, 0.1, 0.9, 0.9999)),
        ("with a hole", whole[:40_000] + whole[50_000:]),
        ("of another kind", b"<html>404 not found</html>"),
    ):
        with subtests.test(name):
            (tmp_path / "part.pth").write_bytes(content)
            assert "not a whole file of torch.save" in refusal(config, tmp_path / "part.pth")


def test_one_changed_byte_is_seen(config: SamConfig, official: nn.Module, checkpoint: Path, tmp_path: Path) -> None:
    whole, numbers = checkpoint.read_bytes(), official.image_encoder.pos_embed.numpy().tobytes()
    place = whole.index(numbers) + 1000
    (tmp_path / "bad.pth").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    torch.load(tmp_path / "bad.pth", weights_only=True)  # torch does not mind
    assert "damaged" in refusal(config, tmp_path / "bad.pth")


def test_a_missing_file_is_named_with_where_to_get_it(config: SamConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth: not found\. .*facebookresearch/segment-anything"):
        read_official_sam(config, tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="not found"):
        read_official_sam(config, tmp_path)


def test_another_published_size_is_called_by_its_name(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for width, layers, name in ((768, 12, "ViT-B"), (1024, 24, "ViT-L"), (1280, 32, "ViT-H")):
        with subtests.test(name):
            state = {f"image_encoder.blocks.{layer}.norm1.bias": torch.zeros(width) for layer in range(layers)}
            state["image_encoder.patch_embed.proj.bias"] = torch.zeros(width)
            other = "l" if name == "ViT-B" else "b"
            config = SamConfig.model_validate(MODELS[f"rsrefseg-{other}"]["sam"])
            message = refusal(config, tmp_path / "sam.pth", state)
            needed = f"this model needs SAM ViT-{other.upper()}"
            assert f"holds SAM {name} (width {width}, {layers} layers); {needed}" in message
            assert f"Give sam_vit_{other}_" in message


def test_another_size_is_given_in_numbers(checkpoint: Path) -> None:
    deeper = SamConfig(**{**TINY, "vision": {**TINY["vision"], "num_hidden_layers": 4}})
    message = refusal(deeper, checkpoint)
    assert "holds a SAM (width 48, 3 layers); this model needs a SAM (width 48, 4 layers)" in message


def test_a_missing_key_an_unexpected_one_and_another_shape_are_named(
    config: SamConfig, official: nn.Module, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    state, key = official.state_dict(), "mask_decoder.iou_token.weight"
    for content, said in (
        ({name: value for name, value in state.items() if name != key}, ("Missing key", key)),
        ({**state, "mask_decoder.hf_token.weight": state[key]}, ("Unexpected key", "mask_decoder.hf_token.weight")),
        ({**state, key: state[key].T}, (f"size mismatch for {key}",)),
    ):
        with subtests.test(said[0]):
            message = refusal(config, tmp_path / "sam.pth", content)
            assert all(part in message for part in said)


def test_a_message_stays_short_whatever_is_missing(config: SamConfig, tmp_path: Path) -> None:
    assert len(refusal(config, tmp_path / "sam.pth", {"some": torch.zeros(2)})) < 800


def test_what_is_no_state_of_weights_is_refused(config: SamConfig, tmp_path: Path, subtests: pytest.Subtests) -> None:
    contents: dict[str, object] = {
        "'model' is dict": {"model": {"weight": torch.zeros(2)}},
        "'weight' is torch.int64": {"weight": torch.zeros(2, dtype=torch.int64)},
        "1 is torch.float32": {1: torch.zeros(2)},
        "holds one list": [torch.zeros(2)],
        "holds one Tensor": torch.zeros(2),
    }
    for what, content in contents.items():
        with subtests.test(what):
            assert what in refusal(config, tmp_path / "sam.pth", content)


def test_a_sam_that_the_official_code_cannot_be_is_refused_as_a_setting(checkpoint: Path) -> None:
    config = SamConfig(**{**TINY, "prompt_encoder": {**TINY["prompt_encoder"], "num_point_embeddings": 5}})
    with pytest.raises(SettingError, match=r"prompt_encoder\.point_embed\.4"):
        read_official_sam(config, checkpoint)
