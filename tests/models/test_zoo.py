from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import SamVisionConfig

from models.clip import Clip
from models.config import ModelConfig
from models.sam import Sam
from models.zoo import RSREFSEG
from tests.tiny import tiny_tokenizer

MOST_BYTES = 12 * 2**20  # of mini's committed weights


def test_every_named_size_is_a_valid_configuration_in_plain_data(subtests: pytest.Subtests) -> None:
    for name in RSREFSEG:
        with subtests.test(name):
            plain = ModelConfig.model_validate(RSREFSEG[name]).model_dump(mode="json", by_alias=True)
            assert json.loads(json.dumps(plain)) == plain


def test_the_sizes_within_a_model_agree(subtests: pytest.Subtests) -> None:
    for name in RSREFSEG:
        with subtests.test(name):
            config = ModelConfig.model_validate(RSREFSEG[name])
            vision, prompt = SamVisionConfig(**config.sam.vision), config.sam.prompt_encoder
            assert vision.image_size % vision.patch_size == 0
            assert (prompt["image_size"], prompt["patch_size"]) == (vision.image_size, vision.patch_size)
            width = config.sam.mask_decoder["hidden_size"]
            assert prompt["hidden_size"] == vision.output_channels == 2 * vision.num_pos_feats == width
            text = config.clip.text
            if config.clip.family == "clip":
                assert text["projection_dim"] == config.clip.vision["projection_dim"] == config.clip.projection
            else:
                assert text["projection_size"] == text["hidden_size"]


def test_no_model_has_a_pooling_head_that_nothing_reads(subtests: pytest.Subtests) -> None:
    for name in RSREFSEG:
        with subtests.test(name):
            clip = RSREFSEG[name]["clip"]
            assert clip["family"] == "clip" or clip["vision"]["vision_use_head"] is False


def test_clip_s_map_has_its_published_size(subtests: pytest.Subtests) -> None:
    for name, grid in {"rsrefseg-b": 27, "rsrefseg-b-clip": 24, "mini": 16}.items():
        with subtests.test(name):
            assert ModelConfig.model_validate(RSREFSEG[name]).clip.grid == grid


def test_the_foundation_models_have_their_published_numbers_of_parameters(subtests: pytest.Subtests) -> None:
    def millions(model: nn.Module) -> float:
        return sum(parameter.numel() for parameter in model.parameters()) / 1e6

    # SigLIP so400m 878 less its pooling head of 15 (the hub's card), 2.1 of prompter and 9 to 13 of adapters; SAM's are
    # the official 93.7, 312 and 641
    for name, sam in {"rsrefseg-b": 93.7, "rsrefseg-l": 312.3, "rsrefseg-h": 641.1}.items():
        with subtests.test(name), torch.device("meta"):
            config = ModelConfig.model_validate(RSREFSEG[name])
            assert millions(Clip(config.clip, None)) == pytest.approx(863, rel=0.001)  # type: ignore[arg-type]
            assert millions(Sam(config.sam)) == pytest.approx(sam, rel=0.001)


def test_the_default_of_every_model_is_the_released_adapters_and_prompter(subtests: pytest.Subtests) -> None:
    terms = {"local": True, "global_": True, "dense": True}
    for name in RSREFSEG:
        with subtests.test(name):
            config = ModelConfig.model_validate(RSREFSEG[name])
            assert config.lora is not None
            assert (config.lora.rank, config.lora.alpha, config.lora.dropout) == (16, 16, 0.1)
            assert config.lora.text == "all"
            assert config.prompter.model_dump() == {
                **terms,
                "formulation": "released",
                "downsample": 4,
                "grid": None,
                "start": "released",
            }


def test_mini_can_be_trained_from_scratch() -> None:
    vision = RSREFSEG["mini"]["sam"]["vision"]
    assert vision["initializer_range"] == 0.02
    grid = vision["image_size"] // vision["patch_size"]
    assert grid % vision["window_size"] == 0  # windows that do not divide the grid cost padding


def test_mini_is_within_its_size(tmp_path: Path) -> None:
    config = ModelConfig.model_validate(RSREFSEG["mini"])
    clip, sam = Clip(config.clip, tiny_tokenizer(tmp_path)), Sam(config.sam)
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (clip, sam)]
    assert config.clip.image_side <= 192
    assert config.sam.image_side <= 256
    assert all(0.2e6 < size < 2e6 for size in sizes)
    assert 2 * sum(sizes) < MOST_BYTES  # half precision
