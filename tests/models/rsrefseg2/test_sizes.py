from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from models.clip import Clip
from models.rsrefseg2.config import RSRefSeg2Config, Sam2Config
from models.rsrefseg2.rsrefseg2 import RSRefSeg2
from models.rsrefseg2.sam2 import Sam2
from models.rsrefseg2.sizes import SIZES
from models.sam import Sam

HEAD_ADAPTERS = 16 * (2 * 1152 + 2 * (1152 + 4304))  # of CLIP's image pooling: its attention's output, its MLP
UNREAD_SCALARS = 3  # of the released loss: its bias, and the scale and bias of a term that is off


def bare(name: str, clip: dict[str, Any] | None = None) -> RSRefSeg2:
    """A model without memory."""
    config = RSRefSeg2Config.model_validate({**SIZES[name], **(clip or {})})
    with torch.device("meta"):
        sam = Sam2(config.sam) if isinstance(config.sam, Sam2Config) else Sam(config.sam)
        return RSRefSeg2(config, clip=Clip(config.clip, None), sam=sam)  # type: ignore[arg-type]


def count(module: nn.Module, *, trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad or not trained)


def test_every_part_of_the_published_size_has_its_published_parameters() -> None:
    plain = SIZES["rsrefseg2"]
    with_pooling = {**plain["clip"], "vision": {**plain["clip"]["vision"], "vision_use_head": True}}
    model = bare("rsrefseg2", {"clip": with_pooling, "lora": None})
    assert count(model.clip) == 1_136_555_698
    encoder = model.sam.model.vision_encoder
    assert (count(encoder.backbone), count(encoder.neck)) == (212_149_296, 553_984)
    assert (count(model.sam.model.mask_decoder), count(model.sam.model.prompt_encoder)) == (4_215_109, 6_220)
    assert count(model.prompter) == 82_773_312


def test_what_is_built_and_what_is_dead_make_the_published_count() -> None:
    model, plain = bare("rsrefseg2"), SIZES["rsrefseg2"]["clip"]
    pooling = 1_136_555_698 - (count(bare("rsrefseg2", {"lora": None}).clip))
    assert count(model) + pooling + HEAD_ADAPTERS + UNREAD_SCALARS == 1_447_126_199
    dead = sum(
        parameter.numel()
        for part in (model.sam.model.mask_decoder, model.sam.model.prompt_encoder)
        for parameter in part.parameters()
        if not parameter.requires_grad
    )
    assert count(model, trained=True) + dead + HEAD_ADAPTERS + UNREAD_SCALARS == 97_867_223
    assert plain["vision"]["vision_use_head"] is False


def test_every_size_is_a_valid_configuration_in_plain_data() -> None:
    for plain in SIZES.values():
        config = RSRefSeg2Config.model_validate(plain).model_dump(mode="json", by_alias=True)
        assert json.loads(json.dumps(config)) == config
        assert RSRefSeg2Config.model_validate(config).model_dump(mode="json", by_alias=True) == config


def test_the_mini_size_is_mini() -> None:
    model = bare("rsrefseg2-mini")
    assert 0.7e6 < count(model.prompter) < 0.9e6
    assert isinstance(model.sam, Sam)
