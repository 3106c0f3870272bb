"""CLIPSeg and SAM 3 on tiny random checkpoints, against their own forward in transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, Sam3Config, Sam3Model

from models.checkpoint import CheckpointError, save_tensors
from models.pixels import prepare_images
from models.tokens import TruncationWarning
from models.zeroshot.clipseg import ClipSeg
from models.zeroshot.sam3 import Sam3
from models.zeroshot.zeroshot import ZeroShot
from tests.tiny import WORDS, draw_weights, random_image, tiny_tokenizer_file

SIZES = ((40, 72), (64, 64), (90, 51))
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
TEXTS, IMAGE_INDEX = ["the red ship", "harbor", "the small ship near the road", "green tank"], [2, 0, 0, 1]

_TEXT = {
    **{"vocab_size": len(WORDS) + 2, "hidden_size": 32, "intermediate_size": 48, "projection_dim": 32},
    **{"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 10},
    **{"bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0},
}
_VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
_SMALL = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}


def clipseg() -> Any:
    text = {key: value for key, value in _TEXT.items() if key != "projection_dim"}
    sizes: dict[str, Any] = {"projection_dim": 32, "extract_layers": [0, 1, 2], "reduce_dim": 16}
    sizes |= {"decoder_num_attention_heads": 2, "decoder_intermediate_size": 24}
    sizes |= {"use_complex_transposed_convolution": True}
    vision = {**_VISION, "image_size": 24, "patch_size": 8}
    return CLIPSegForImageSegmentation(CLIPSegConfig(vision_config=vision, text_config=text, **sizes))


def sam3() -> Any:
    backbone = {
        **{**_VISION, "model_type": "sam3_vit_model", "image_size": 56, "patch_size": 14, "window_size": 2},
        **{"global_attn_indexes": [1], "pretrain_image_size": 28},
    }
    return Sam3Model(
        Sam3Config(
            vision_config={"backbone_config": backbone, "fpn_hidden_size": 32},
            text_config={**_TEXT, "model_type": "clip_text_model"},
            geometry_encoder_config=_SMALL,
            detr_encoder_config=_SMALL,
            detr_decoder_config={"num_queries": 7, **_SMALL},
            mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
        )
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A published folder of each."""
    found = {}
    for name, make in (("clipseg", clipseg), ("sam3", sam3)):
        found[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        network = make()
        draw_weights(network, 0)
        network.save_pretrained(found[name])
        tiny_tokenizer_file(found[name] / "tokenizer.json", "clip")
    return found


Ready = Callable[[str], ZeroShot]


@pytest.fixture(scope="module")
def ready(folders: dict[str, Path]) -> Ready:
    models: dict[str, ZeroShot] = {
        "clipseg": ClipSeg.from_folder(folders["clipseg"], side=32),
        "sam3": Sam3.from_folder(folders["sam3"]),
        "semantic": Sam3.from_folder(folders["sam3"], "semantic"),
    }
    return models.__getitem__


def theirs(model: ZeroShot, name: str) -> Tensor:
    """Each expression with an image of its own, by transformers' forward."""
    ids, mask = model.tokens(TEXTS)
    pixels = prepare_images([IMAGES[index] for index in IMAGE_INDEX], model.side, model.pixel_mean, model.pixel_std)
    output = model.network(pixel_values=pixels, input_ids=ids, attention_mask=mask)
    if name == "clipseg":
        return output.logits
    if name == "semantic":
        return output.semantic_seg[:, 0]
    scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
    return torch.stack([masks[score.argmax()] for masks, score in zip(output.pred_masks, scores, strict=True)])


def test_sharing_images_gives_what_transformers_gives(ready: Ready, subtests: pytest.Subtests) -> None:
    for name in ("clipseg", "sam3", "semantic"):
        with subtests.test(name), torch.no_grad():
            model = ready(name)
            found = model(IMAGES, TEXTS, IMAGE_INDEX)
            torch.testing.assert_close(found, theirs(model, name), rtol=0, atol=1e-4)
            assert (found[1] - found[2]).abs().max() > 1e-3, "the words do not matter"


def test_each_image_is_encoded_once(ready: Ready, subtests: pytest.Subtests) -> None:
    for name in ("clipseg", "sam3"):
        with subtests.test(name):
            model, counts = ready(name), []
            encoder = model.network.vision_encoder if name == "sam3" else model.network.clip.vision_model
            hook = encoder.register_forward_pre_hook(lambda _, args, counts=counts: counts.append(len(args[0])))
            model.predict(IMAGES, TEXTS, IMAGE_INDEX)
            hook.remove()
            assert counts == [3]


def test_masks_come_at_each_image_s_own_size(ready: Ready, subtests: pytest.Subtests) -> None:
    for name in ("clipseg", "sam3"):
        with subtests.test(name):
            masks = ready(name).predict(IMAGES, TEXTS, IMAGE_INDEX)
            assert [mask.shape for mask in masks] == [SIZES[index] for index in IMAGE_INDEX]


def test_a_text_that_is_too_long_is_cut_and_counted(ready: Ready) -> None:
    with pytest.warns(TruncationWarning, match="1 expressions hold more than 10 tokens"):
        ready("sam3").predict(IMAGES[:1], ["the red ship near the small green tank in the upper left corner"], [0])


def test_sam_3_is_read_out_of_a_model_of_video(folders: dict[str, Path], tmp_path: Path, ready: Ready) -> None:
    """The published layout: the detector is one part of it, the tracker is passed over."""
    said = json.loads((folders["sam3"] / "config.json").read_text(encoding="utf-8"))
    video = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": said}
    (tmp_path / "config.json").write_text(json.dumps(video), encoding="utf-8")
    tensors = load_file(folders["sam3"] / "model.safetensors")
    whole = {f"detector_model.{name}": value for name, value in tensors.items()} | {"tracker_model.x": torch.ones(1)}
    save_tensors(tmp_path / "model.safetensors", whole, {"format": "pt"})
    tiny_tokenizer_file(tmp_path / "tokenizer.json", "clip")
    with torch.no_grad():
        found = Sam3.from_folder(tmp_path)(IMAGES, TEXTS, IMAGE_INDEX)
        torch.testing.assert_close(found, ready("sam3")(IMAGES, TEXTS, IMAGE_INDEX))


def test_weights_that_are_missing_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["clipseg"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["decoder.film_mul.weight"]
    save_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 missing \(decoder\.film_mul\.weight\)"):
        ClipSeg.from_folder(tmp_path)
