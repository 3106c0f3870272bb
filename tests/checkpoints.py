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
from transformers import BertForPreTraining, Sam2VideoConfig, Sam2VideoModel, SamModel, SwinForImageClassification

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
from tests.tiny import draw_weights, tiny_config, tiny_tokenizer, tiny_tokenizer_file


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
