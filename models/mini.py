"""The sizes of `mini`: RSRefSeg with small numbers, made for two CPU cores: 1.6 M parameters of CLIP, 0.7 M of SAM.

By themselves, so that DVC knows when its foundation weights are those of other sizes.
"""

from __future__ import annotations

from typing import Any

MINI_CLIP: dict[str, Any] = {
    "family": "siglip",
    "vision": {
        "image_size": 192,
        "patch_size": 12,
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "vision_use_head": False,  # nothing reads a pooled image: a head would be parameters without a gradient
    },
    "text": {
        "vocab_size": 768,
        "max_position_embeddings": 24,
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "projection_size": 128,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 1,
    },
}

MINI_SAM: dict[str, Any] = {
    "vision": {
        "image_size": 192,
        "patch_size": 12,
        "hidden_size": 96,
        "output_channels": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "window_size": 8,  # divides the 16 x 16 grid: no padding
        "global_attn_indexes": [1, 3],
        "use_rel_pos": False,
        "num_pos_feats": 32,
        "initializer_range": 0.02,  # transformers' default is 1e-10, from which nothing can be trained
    },
    "prompt_encoder": {"hidden_size": 64, "image_size": 192, "patch_size": 12},
    "mask_decoder": {
        "hidden_size": 64,
        "mlp_dim": 256,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": 64,
        "num_multimask_outputs": 1,  # RSRefSeg reads the single-mask output only
    },
}
