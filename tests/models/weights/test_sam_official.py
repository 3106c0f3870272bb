"""Parity with the official code, and what is refused.

Two results agree to R relative when max |official - ours| < R x max |official| over the whole tensor, and also element
by element, |official - ours| <= R x (|official| + mean |official|).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from models.checkpoint import CheckpointError, fill
from models.config import SamConfig, SettingError
from models.pixels import prepare_images
from models.sam import Sam
from models.weights.sam_official import official_sam, read_official_sam, transformers_names
from models.zoo import MODELS
from tests.tiny import draw_weights, random_image

PARITY = 1e-4
SIDE = 128
TINY: dict[str, dict[str, Any]] = {
    "vision": {
        "image_size": SIDE,
        "patch_size": 16,  # an 8 x 8 grid
        "hidden_size": 48,
        "output_channels": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "window_size": 3,  # does not divide the grid
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
    },
    "prompt_encoder": {"hidden_size": 32, "image_size": SIDE, "patch_size": 16},
    "mask_decoder": {"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 4, "iou_head_hidden_dim": 24},
}
POINTS = torch.tensor([[[20.0, 30.0], [100.0, 90.5], [64.0, 5.0]], [[0.0, 0.0], [127.0, 127.0], [40.0, 80.0]]])
BOXES = torch.tensor([[10.0, 20.0, 70.0, 90.0], [0.0, 64.0, 127.0, 127.0]])
PROMPTS: dict[str, dict[str, Tensor]] = {  # two prompts each, in pixels of a 128 px input
    "one point on the object": {"points": POINTS[:, :1], "labels": torch.ones(2, 1)},
    "one point off it": {"points": POINTS[:, :1], "labels": torch.zeros(2, 1)},
    "three points on and off": {"points": POINTS, "labels": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])},
    "a point that is none": {"points": POINTS, "labels": torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, -1.0]])},
    "a box": {"boxes": BOXES},
    "points and a box": {"points": POINTS, "labels": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), "boxes": BOXES},
    "a mask": {"masks": torch.zeros(2, 1, 1, 1)},  # drawn at the model's size
    "a point and a mask": {"points": POINTS[:, :1], "labels": torch.ones(2, 1), "masks": torch.zeros(2, 1, 1, 1)},
    "a box and a mask": {"boxes": BOXES, "masks": torch.zeros(2, 1, 1, 1)},
}
IMAGE = random_image(SIDE, SIDE, 0)
EMBEDDINGS = ("pos_embed", "point_embed", "not_a_point", "no_mask", "iou_token", "mask_tokens")


def sam_config(**mask_decoder: Any) -> SamConfig:
    """A SAM of published shape and small size; its decoder's eps is the official code's."""
    return SamConfig(**{**TINY, "mask_decoder": {**TINY["mask_decoder"], "layer_norm_eps": 1e-5, **mask_decoder}})


def random_official(config: SamConfig, seed: int = 0) -> nn.Module:
    return randomised(lambda: official_sam(config), seed)


def randomised(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """An official model in which every part matters: embeddings are drawn as large as what they are added to."""
    torch.manual_seed(seed)
    sam = build()
    draw_weights(sam, seed)
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if any(part in name for part in EMBEDDINGS):
                nn.init.normal_(parameter)
    return sam.requires_grad_(False)


def ours_from(state: Mapping[str, Tensor], config: SamConfig, attention: str = "sdpa") -> Sam:
    sam = Sam(config, attention)
    fill(sam.model, set(sam.distinct_state()), state, Path("converted"), "")
    return sam.eval().requires_grad_(False)


def drawn(prompt: Mapping[str, Tensor], config: SamConfig) -> dict[str, Tensor]:
    """A prompt at the model's size: places scaled to its input, masks drawn on its mask grid."""
    scaled = {name: value * config.image_side / SIDE for name, value in prompt.items() if name in ("points", "boxes")}
    mask = 3 * torch.randn(2, 1, config.mask_side, config.mask_side, generator=torch.Generator().manual_seed(5))
    return {**prompt, **scaled, **({"masks": mask} if "masks" in prompt else {})}


def official_answer(sam: nn.Module, image: Tensor, prompt: Mapping[str, Tensor], many: bool) -> tuple[Tensor, Tensor]:
    points = (prompt["points"], prompt["labels"]) if "points" in prompt else None
    sparse, dense = sam.prompt_encoder(points=points, boxes=prompt.get("boxes"), masks=prompt.get("masks"))
    return sam.mask_decoder(
        image_embeddings=image,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=many,
    )


def our_answer(sam: Sam, image: Tensor, prompt: Mapping[str, Tensor], many: bool) -> tuple[Tensor, Tensor]:
    """Through our own methods where they can say it: not both a point and a box, nor several masks."""
    if "points" in prompt and "boxes" in prompt:
        points, labels, boxes = (prompt[name].unsqueeze(1) for name in ("points", "labels", "boxes"))
        sparse = sam.model.prompt_encoder(points, labels, boxes, None)[0].squeeze(1)
    elif "points" in prompt:
        sparse = sam.embed_points(prompt["points"], prompt["labels"])
    elif "boxes" in prompt:
        sparse = sam.embed_boxes(prompt["boxes"])
    else:
        sparse = torch.empty(2, 0, sam.config.width)
    dense = sam.embed_masks(prompt["masks"].squeeze(1)) if "masks" in prompt else sam.no_mask()
    images = image.expand(2, -1, -1, -1)
    if not many:
        logits, quality = sam.decode(images, sparse, dense)
        return logits.unsqueeze(1), quality.unsqueeze(1)
    logits, quality = sam.model.mask_decoder(
        image_embeddings=images,
        image_positional_embeddings=sam.positional_encoding(*image.shape[-2:]),
        sparse_prompt_embeddings=sparse.unsqueeze(1),
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    return logits.squeeze(1), quality.squeeze(1)


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


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_converted_model_answers_as_the_official_one_does(
    config: SamConfig, official: nn.Module, checkpoint: Path, attention: str
) -> None:
    assert_parity(official, ours_from(read_official_sam(config, checkpoint), config, attention), IMAGE, PARITY / 5)


@pytest.mark.parametrize("seed", [1, 2])
def test_so_it_does_with_the_eps_of_transformers_configuration(tmp_path: Path, seed: int) -> None:
    config = sam_config(layer_norm_eps=1e-6)
    official = random_official(config, seed)
    torch.save(official.state_dict(), tmp_path / "sam.pth")
    assert_parity(official, ours_from(read_official_sam(config, tmp_path / "sam.pth"), config), IMAGE)


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
            found += [part for many in (False, True) for part in official_answer(sam, image, prompt, many)]
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


@pytest.mark.parametrize(
    "config",
    [
        *(SamConfig.model_validate(MODELS[name]["sam"]) for name in ("mini", "rsrefseg-b", "rsrefseg-l", "rsrefseg-h")),
        *(sam_config(iou_head_depth=depth) for depth in (2, 4, 5)),
    ],
    ids=["mini", "b", "l", "h", "scores by 2 layers", "by 4", "by 5"],
)
def test_at_any_size_the_names_and_shapes_are_ours(config: SamConfig) -> None:
    with torch.device("meta"):
        official, ours = official_sam(config).state_dict(), Sam(config).distinct_state()
    names = transformers_names(official)
    assert {names[key]: value.shape for key, value in official.items()} == {
        key: value.shape for key, value in ours.items()
    }


@pytest.mark.parametrize("size", ["b", "l", "h"])
def test_at_the_published_sizes_the_official_model_is_the_registry_s(size: str) -> None:
    with torch.device("meta"):
        ours = official_sam(SamConfig.model_validate(MODELS[f"rsrefseg-{size}"]["sam"]))
        registered = sam_model_registry[f"vit_{size}"]()
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


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9, 0.9999])
def test_a_truncated_file_is_refused(config: SamConfig, checkpoint: Path, tmp_path: Path, kept: float) -> None:
    whole = checkpoint.read_bytes()
    (tmp_path / "part.pth").write_bytes(whole[: int(kept * len(whole))])
    assert "not a whole file of torch.save" in refusal(config, tmp_path / "part.pth")


def test_a_file_with_a_hole_is_refused(config: SamConfig, checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    (tmp_path / "hole.pth").write_bytes(whole[:40_000] + whole[50_000:])
    assert "not a whole file of torch.save" in refusal(config, tmp_path / "hole.pth")


def test_one_changed_byte_is_seen(config: SamConfig, official: nn.Module, checkpoint: Path, tmp_path: Path) -> None:
    whole, numbers = checkpoint.read_bytes(), official.image_encoder.pos_embed.numpy().tobytes()
    place = whole.index(numbers) + 1000
    (tmp_path / "bad.pth").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    torch.load(tmp_path / "bad.pth", weights_only=True)  # torch does not mind
    assert "damaged" in refusal(config, tmp_path / "bad.pth")


def test_a_file_of_another_kind_is_refused(config: SamConfig, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>404 not found</html>")
    assert "not a whole file of torch.save" in refusal(config, tmp_path / "page.pth")


def test_a_missing_file_is_named_with_where_to_get_it(config: SamConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth: not found\. .*facebookresearch/segment-anything"):
        read_official_sam(config, tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="not found"):
        read_official_sam(config, tmp_path)


def test_another_published_size_is_called_by_its_name(tmp_path: Path) -> None:
    for width, layers, name in ((768, 12, "ViT-B"), (1024, 24, "ViT-L"), (1280, 32, "ViT-H")):
        state = {f"image_encoder.blocks.{layer}.norm1.bias": torch.zeros(width) for layer in range(layers)}
        state["image_encoder.patch_embed.proj.bias"] = torch.zeros(width)
        other = "l" if name == "ViT-B" else "b"
        config = SamConfig.model_validate(MODELS[f"rsrefseg-{other}"]["sam"])
        message = refusal(config, tmp_path / "sam.pth", state)
        assert f"holds SAM {name} (width {width}, {layers} layers); this model needs SAM ViT-{other.upper()}" in message
        assert f"Give sam_vit_{other}_" in message


def test_another_size_is_given_in_numbers(checkpoint: Path) -> None:
    deeper = SamConfig(**{**TINY, "vision": {**TINY["vision"], "num_hidden_layers": 4}})
    message = refusal(deeper, checkpoint)
    assert "holds a SAM (width 48, 3 layers); this model needs a SAM (width 48, 4 layers)" in message


def test_a_missing_key_an_unexpected_one_and_another_shape_are_named(
    config: SamConfig, official: nn.Module, tmp_path: Path
) -> None:
    state = official.state_dict()
    token = state.pop("mask_decoder.iou_token.weight")
    message = refusal(config, tmp_path / "sam.pth", state)
    assert "Missing key" in message
    assert "mask_decoder.iou_token.weight" in message
    message = refusal(config, tmp_path / "sam.pth", {**official.state_dict(), "mask_decoder.hf_token.weight": token})
    assert "Unexpected key" in message
    assert "mask_decoder.hf_token.weight" in message
    message = refusal(config, tmp_path / "sam.pth", {**official.state_dict(), "mask_decoder.iou_token.weight": token.T})
    assert "size mismatch for mask_decoder.iou_token.weight" in message


def test_a_message_stays_short_whatever_is_missing(config: SamConfig, tmp_path: Path) -> None:
    assert len(refusal(config, tmp_path / "sam.pth", {"some": torch.zeros(2)})) < 800


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"model": {"weight": torch.zeros(2)}}, "'model' is dict"),
        ({"weight": torch.zeros(2, dtype=torch.int64)}, "'weight' is torch.int64"),
        ({1: torch.zeros(2)}, "1 is torch.float32"),
        ([torch.zeros(2)], "holds one list"),
        (torch.zeros(2), "holds one Tensor"),
    ],
)
def test_what_is_no_state_of_weights_is_refused(config: SamConfig, tmp_path: Path, content: object, what: str) -> None:
    assert what in refusal(config, tmp_path / "sam.pth", content)


def test_a_sam_that_the_official_code_cannot_be_is_refused_as_a_setting(checkpoint: Path) -> None:
    config = SamConfig(**{**TINY, "prompt_encoder": {**TINY["prompt_encoder"], "num_point_embeddings": 5}})
    with pytest.raises(SettingError, match=r"prompt_encoder\.point_embed\.4"):
        read_official_sam(config, checkpoint)
