"""RSRefSeg 2 built in milliseconds on random weights, with the tiny CLIP and SAM of tests/tiny.py and a tiny SAM 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.clip import Clip
from models.rsrefseg2.config import RSRefSeg2Config, Sam2Config
from models.rsrefseg2.rsrefseg2 import RSRefSeg2
from models.rsrefseg2.sam2 import Sam2
from models.sam import Sam
from tests.tiny import draw_weights, tiny_config, tiny_tokenizer

SAM2: dict[str, Any] = {
    "backbone": {
        "hidden_size": 8,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 2, 4, 2],
        "window_positional_embedding_background_size": [4, 4],
        "global_attention_blocks": [3],
    },
    "vision": {"backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 32},
    "prompt_encoder": {"hidden_size": 32, "image_size": 64, "patch_size": 16},
    "mask_decoder": {"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "sam2": {},
    "sam": {"sam": tiny_config().sam},
    "one_query": {"prompter": {"second_query": False}},
    "padded": {"prompter": {"text": "padded"}},
    "no_lora": {"lora": None},
    "no_contrast": {"side_losses": {"contrast": 0}},
    "corrected": {"side_losses": {"rule": "corrected"}},
    "light": {"compute": {"precision": "bfloat16", "gradient_checkpointing": ["clip_vision", "clip_text", "sam"]}},
}


def tiny2_config(difference: Mapping[str, Any] | None = None) -> RSRefSeg2Config:
    """Its configuration; `difference` replaces a part, and settings of the prompter one by one."""
    parts = {"clip": tiny_config().clip, "sam": SAM2, "lora": {"dropout": 0}, "side_losses": {}, "compute": {}}
    prompter = {"inner": 16, "heads": 2, "mlp": 24, "prompts": 4, **(difference or {}).get("prompter", {})}
    return RSRefSeg2Config.model_validate({**parts, **(difference or {}), "prompter": prompter})


def tiny2_model(folder: Path, variant: str = "sam2", *, trained: bool = True, seed: int = 0) -> RSRefSeg2:
    """A variant, ready to predict. folder: for its tokenizer. `trained` moves everything away from its start."""
    torch.manual_seed(seed)
    config = tiny2_config(VARIANTS[variant])
    sam = Sam2(config.sam) if isinstance(config.sam, Sam2Config) else Sam(config.sam)
    clip = Clip(config.clip, tiny_tokenizer(folder))
    draw_weights(clip, seed)
    draw_weights(sam, seed + 1)
    model = RSRefSeg2(config, clip=clip, sam=sam)
    if trained:
        draw_weights(model, seed + 2)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, buffer in model.prompter.named_buffers():
                if name.endswith(("running_mean", "running_var")):
                    buffer.copy_(torch.rand(buffer.shape, generator=generator) / 2)
    with torch.no_grad():
        clip.model.logit_scale.fill_(2.0)
        clip.model.logit_bias.fill_(-0.3)
    return model.eval()
