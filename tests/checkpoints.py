"""Tiny random checkpoints as they are published: folders that transformers' own save_pretrained writes, and an official
SAM file. The models are the tests' tiny ones, so no test of them needs a network."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    BertForPreTraining,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3Config,
    Sam3Model,
    SamModel,
    SwinForImageClassification,
)

from models.checkpoint import save_tensors
from models.clip import Clip
from models.config import ClipConfig, SamConfig
from models.lavt.backbone import make_swin
from models.rsrefseg2.config import Sam2Config
from models.rsrefseg2.sam2 import Sam2
from models.sam import Sam
from models.tokens import SPECIAL_TOKENS
from models.weights.sam_official import official_sam
from tests.language_aware import lavt_config, tiny_text
from tests.models.rsrefseg2.tiny import SAM2
from tests.tiny import WORDS, draw_weights, tiny_config, tiny_tokenizer, tiny_tokenizer_file


def write_clip_checkpoint(folder: Path, family: str, dtype: torch.dtype = torch.float32, **saving: Any) -> Path:
    """The tiny CLIP of a family, with its tokenizer; `saving` goes to save_pretrained.

    SigLIP has the pooling of images that published ones have. SigLIP 2's tokenizer.json ends no text: that one is to be
    ended, its tokenizer_config.json says, as Gemma's does.
    """
    folder.mkdir(parents=True)
    config = tiny_config(family=family).clip
    ours = Clip(config, tiny_tokenizer(folder, family)).model
    settings = deepcopy(ours.config)
    if family != "clip":
        settings.vision_config.vision_use_head = True
    torch.manual_seed(0)
    model = type(ours)(settings)
    draw_weights(model, 0)
    with torch.no_grad():
        model.logit_scale.fill_(2.5)
    model.to(dtype).save_pretrained(folder, **saving)
    said: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **SPECIAL_TOKENS[family]}
    if family == "siglip2":
        change_json(folder / "tokenizer.json", post_processor=None)
        said |= {"add_bos_token": False, "add_eos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return _with_preprocessor(folder, config)


def write_sam_checkpoint(folder: Path) -> Path:
    """The tiny SAM."""
    config = tiny_config().sam
    torch.manual_seed(1)
    model = SamModel(Sam(config).model.config)
    draw_weights(model, 1)
    model.save_pretrained(folder)
    return _with_preprocessor(folder, config)


def write_official_sam(file: Path) -> dict[str, Tensor]:
    """The tiny SAM as an official file; what is in it."""
    torch.manual_seed(2)
    model = official_sam(tiny_config().sam)
    draw_weights(model, 2)
    torch.save(model.state_dict(), file)
    return dict(model.state_dict())


def write_sam2_checkpoint(folder: Path) -> Any:
    """A model of video, as published, whose image part is SAM2."""
    image = Sam2(Sam2Config.model_validate(SAM2)).model.config
    video = Sam2VideoModel(
        Sam2VideoConfig(
            vision_config=image.vision_config.to_dict(),
            prompt_encoder_config=SAM2["prompt_encoder"],
            mask_decoder_config=SAM2["mask_decoder"],
            image_size=64,
            memory_attention_hidden_size=32,
            memory_encoder_hidden_size=32,
        )
    )
    draw_weights(video, 0)
    video.save_pretrained(folder)
    return video


def write_swin_checkpoint(folder: Path) -> Any:
    """The tiny Swin as the hub has it: its classes, older names, torch's format; at another image size."""
    folder.mkdir(parents=True, exist_ok=True)
    image = lavt_config().image
    config = make_swin(image).config
    config.image_size, config.drop_path_rate, config.num_labels = 48, 0.1, 7
    model = SwinForImageClassification(config)
    draw_weights(model, 0)
    _as_published(model, folder)
    said = {"image_mean": image.pixel_mean, "image_std": image.pixel_std}
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return model.swin


def write_bert_checkpoint(folder: Path) -> Any:
    """The tiny BERT, the same: pooler and heads, gamma and beta of norms, position numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    model = BertForPreTraining(tiny_text(lavt_config(), folder).bert.config)
    draw_weights(model, 0)
    _as_published(model, folder)
    stored = torch.load(folder / "pytorch_model.bin")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in stored.items()
    }
    torch.save({**old, "bert.embeddings.position_ids": torch.arange(12)[None]}, folder / "pytorch_model.bin")
    tiny_tokenizer_file(folder / "tokenizer.json", "bert")
    said = {"tokenizer_class": "BertTokenizer", **SPECIAL_TOKENS["bert"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return model.bert


_WORDS_READ = {
    **{"vocab_size": len(WORDS) + 2, "hidden_size": 32, "intermediate_size": 48, "projection_dim": 32},
    **{"num_hidden_layers": 2, "num_attention_heads": 2, "bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0},
}
_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
_SMALL = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}


def write_clipseg_checkpoint(folder: Path, length: int = 10) -> Any:
    """A CLIPSeg of patches of 8 px, which reads `length` tokens."""
    text = {key: value for key, value in _WORDS_READ.items() if key != "projection_dim"}
    text["max_position_embeddings"] = length
    sizes: dict[str, Any] = {"projection_dim": 32, "extract_layers": [0, 1, 2], "reduce_dim": 16}
    sizes |= {"decoder_num_attention_heads": 2, "decoder_intermediate_size": 24}
    sizes |= {"use_complex_transposed_convolution": True}
    vision = {**_TOWER, "image_size": 24, "patch_size": 8}
    torch.manual_seed(0)
    return _with_words(
        CLIPSegForImageSegmentation(CLIPSegConfig(vision_config=vision, text_config=text, **sizes)), folder
    )


def write_sam3_checkpoint(folder: Path, length: int = 10) -> Any:
    """A SAM 3 of images of 56 px and 7 queries, which reads `length` tokens."""
    backbone = {
        **{**_TOWER, "model_type": "sam3_vit_model", "image_size": 56, "patch_size": 14, "window_size": 2},
        **{"global_attn_indexes": [1], "pretrain_image_size": 28},
    }
    torch.manual_seed(0)
    network = Sam3Model(
        Sam3Config(
            vision_config={"backbone_config": backbone, "fpn_hidden_size": 32},
            text_config={**_WORDS_READ, "max_position_embeddings": length, "model_type": "clip_text_model"},
            geometry_encoder_config=_SMALL,
            detr_encoder_config=_SMALL,
            detr_decoder_config={"num_queries": 7, **_SMALL},
            mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
        )
    )
    return _with_words(network, folder)


def as_video(sam3: Path, folder: Path) -> None:
    """A SAM 3 as it is published, a model of video: the detector is one part of it, beside a tracker."""
    said = json.loads((sam3 / "config.json").read_text(encoding="utf-8"))
    video = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": said}
    (folder / "config.json").write_text(json.dumps(video), encoding="utf-8")
    tensors = load_file(sam3 / "model.safetensors")
    whole = {f"detector_model.{name}": value for name, value in tensors.items()} | {"tracker_model.x": torch.ones(1)}
    save_tensors(folder / "model.safetensors", whole, {"format": "pt"})
    tiny_tokenizer_file(folder / "tokenizer.json", "clip")


def _with_words(network: Any, folder: Path) -> Any:
    draw_weights(network, 0)
    network.save_pretrained(folder)
    tiny_tokenizer_file(folder / "tokenizer.json", "clip")
    return network


def _as_published(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    torch.save(load_file(file), folder / "pytorch_model.bin")
    file.unlink()


def change_json(file: Path, **changes: Any) -> None:
    """Replace entries at the top of a JSON file; a mapping's are replaced one by one."""
    data = json.loads(file.read_text(encoding="utf-8"))
    for key, value in changes.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) and key in data else value
    file.write_text(json.dumps(data), encoding="utf-8")


def _with_preprocessor(folder: Path, config: ClipConfig | SamConfig) -> Path:
    said = {"image_mean": config.pixel_mean, "image_std": config.pixel_std, "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder
