"""The named sizes of RSRefSeg 2, as plain data: SIZES[name] is what RSRefSeg2Config takes.

Facts of the published models are from their config.json on the hub and, for Hiera, from the official configuration
(facebookresearch/sam2, sam2.1_hiera_l.yaml); only what differs from transformers' defaults is written out.
"""

from __future__ import annotations

from typing import Any

from models.mini import MINI_CLIP, MINI_SAM

Plain = dict[str, Any]

_TOWER: Plain = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}

_SIGLIP2_512: Plain = {  # google/siglip2-so400m-patch16-512: a 32 x 32 map
    "family": "siglip2",
    "vision": {"image_size": 512, "patch_size": 16, **_TOWER, "vision_use_head": False},
    "text": {
        "vocab_size": 256_000,
        "max_position_embeddings": 64,
        **_TOWER,
        "projection_size": 1152,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
}

_WIDTHS = [144, 288, 576, 1152]
_HIERA_L: Plain = {  # facebook/sam2.1-hiera-large at 1024 px
    "backbone": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "embed_dim_per_stage": _WIDTHS,
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [23, 33, 43],
    },
    "vision": {"backbone_channel_list": _WIDTHS[::-1]},
    "prompt_encoder": {"hidden_size": 256, "image_size": 1024, "patch_size": 16},
    "mask_decoder": {"hidden_size": 256},
}

SIZES: dict[str, Plain] = {
    "rsrefseg2": {
        "clip": _SIGLIP2_512,
        "sam": _HIERA_L,
        "prompter": {},
        "lora": {"dropout": 0.0},
        "side_losses": {},
        "compute": {},
    },
    "rsrefseg2-mini": {  # the released code takes SAM in SAM 2's place as well
        "clip": MINI_CLIP,
        "sam": MINI_SAM,
        "prompter": {"inner": 32, "heads": 4, "mlp": 64},
        "lora": {"dropout": 0.0},
        "side_losses": {},
        "compute": {},
    },
}
