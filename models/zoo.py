"""The named sizes, as plain data: SIZES[system][name] is what the system's configuration takes. Those of RSRefSeg are
here, another system's in its folder.

Facts of the published models are from their config.json on the hub (params.yaml pins the revisions) and, for SAM, from
the official build_sam.py; only what differs from transformers' defaults is written out.
"""

from __future__ import annotations

from typing import Any

from models.lavt import sizes as lavt
from models.mini import MINI_CLIP, MINI_SAM
from models.rmsin import sizes as rmsin
from models.rsrefseg2 import sizes as rsrefseg2
from models.systems import SYSTEMS
from models.zeroshot import sizes as zeroshot

Plain = dict[str, Any]


def _so400m(family: str, vocabulary: int, special: Plain) -> Plain:
    """SigLIP's shape-optimised towers of 400 M parameters each, patch 14 at 384 px: a 27 x 27 map of width 1152."""
    tower = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
    text = {"vocab_size": vocabulary, "max_position_embeddings": 64, **tower, "projection_size": 1152, **special}
    return {
        "family": family,
        "vision": {"image_size": 384, "patch_size": 14, **tower, "vision_use_head": False},
        "text": text,
    }


# google/siglip-so400m-patch14-384, and google/siglip2-so400m-patch14-384 with Gemma's vocabulary
_SIGLIP = _so400m("siglip", 32_000, {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1})
_SIGLIP2 = _so400m("siglip2", 256_000, {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0})

_CLIP_L: Plain = {  # openai/clip-vit-large-patch14-336: a 24 x 24 map
    "family": "clip",
    "projection": 768,
    "neutral": "a photo.",
    "vision": {
        "image_size": 336,
        "patch_size": 14,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "projection_dim": 768,
    },
    "text": {
        "vocab_size": 49_408,
        "max_position_embeddings": 77,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "projection_dim": 768,
    },
    "pixel_mean": (0.48145466, 0.4578275, 0.40821073),  # github.com/openai/CLIP, clip.py
    "pixel_std": (0.26862954, 0.26130258, 0.27577711),
}


def _sam(width: int, layers: int, heads: int, global_attention: list[int]) -> Plain:
    """SAM at 1024 px, patch 16, windows of 14."""
    return {
        "vision": {
            "image_size": 1024,
            "patch_size": 16,
            "hidden_size": width,
            "mlp_dim": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "window_size": 14,
            "global_attn_indexes": global_attention,
        },
        "prompt_encoder": {"hidden_size": 256, "image_size": 1024, "patch_size": 16},
        "mask_decoder": {"hidden_size": 256, "mlp_dim": 2048, "num_attention_heads": 8, "num_multimask_outputs": 3},
    }


_SAM_B = _sam(768, 12, 12, [2, 5, 8, 11])
_SAM_L = _sam(1024, 24, 16, [5, 11, 17, 23])
_SAM_H = _sam(1280, 32, 16, [7, 15, 23, 31])


def _model(clip: Plain, sam: Plain) -> Plain:
    """A CLIP and a SAM, with the released settings of everything between them."""
    return {"clip": clip, "sam": sam, "prompter": {}, "lora": {}, "compute": {}}


RSREFSEG: dict[str, Plain] = {
    "mini": _model(MINI_CLIP, MINI_SAM),
    "rsrefseg-b": _model(_SIGLIP, _SAM_B),
    "rsrefseg-l": _model(_SIGLIP, _SAM_L),
    "rsrefseg-h": _model(_SIGLIP, _SAM_H),
    "rsrefseg-b-siglip2": _model(_SIGLIP2, _SAM_B),
    "rsrefseg-b-clip": _model(_CLIP_L, _SAM_B),
}

SIZES = {
    "rsrefseg": RSREFSEG,
    "rsrefseg2": rsrefseg2.SIZES,
    "lavt": lavt.SIZES,
    "rmsin": rmsin.SIZES,
    "clipseg": zeroshot.CLIPSEG,
    "sam3": zeroshot.SAM3,
}
MODELS = {name: size for sizes in SIZES.values() for name, size in sizes.items()}
SYSTEM_OF = {name: system for system, sizes in SIZES.items() for name in sizes}

# Training-free baselines, built from the foundation models alone (models/baselines.py).
CONTROLS = tuple(dict.fromkeys(control for entry in SYSTEMS.values() for control in entry.controls))
