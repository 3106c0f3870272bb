"""The official SAM and ours at one small size: random models, prompts, and what each answers to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import fill
from models.config import SamConfig
from models.sam import Sam
from models.weights.sam_official import official_sam
from tests.tiny import draw_weights

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
