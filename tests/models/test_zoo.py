from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.clip import Clip
from models.config import ModelConfig
from models.sam import Sam
from models.zoo import MODELS
from tests.tiny import tiny_tokenizer

EACH_MODEL = pytest.mark.parametrize("name", MODELS)
MOST_BYTES = 12 * 2**20  # of mini's committed weights


@EACH_MODEL
def test_every_named_size_is_a_valid_configuration_in_plain_data(name: str) -> None:
    ModelConfig.model_validate(MODELS[name])
    assert json.loads(json.dumps(MODELS[name])) == MODELS[name]


@EACH_MODEL
def test_the_sizes_within_a_model_agree(name: str) -> None:
    config = ModelConfig.model_validate(MODELS[name])
    vision, prompt, decoder = config.sam.vision, config.sam.prompt_encoder, config.sam.mask_decoder
    assert vision["image_size"] % vision["patch_size"] == 0
    assert config.clip.image_side // config.clip.vision["patch_size"] > 0
    assert (prompt["image_size"], prompt["patch_size"]) == (vision["image_size"], vision["patch_size"])
    assert prompt["hidden_size"] == decoder["hidden_size"] == vision["output_channels"] == 2 * vision["num_pos_feats"]
    assert config.clip.text["projection_size"] == config.clip.text["hidden_size"]


@EACH_MODEL
def test_no_model_has_a_pooling_head_that_nothing_reads(name: str) -> None:
    assert MODELS[name]["clip"]["vision"]["vision_use_head"] is False


@EACH_MODEL
def test_the_default_of_every_model_is_the_released_adapters_and_prompter(name: str) -> None:
    config = ModelConfig.model_validate(MODELS[name])
    assert config.lora is not None
    assert (config.lora.rank, config.lora.alpha, config.lora.dropout) == (16, 16, 0.1)
    assert config.prompter.model_dump() == {"local": True, "global_": True, "dense": True, "downsample": 4}


def test_mini_can_be_trained_from_scratch() -> None:
    vision = MODELS["mini"]["sam"]["vision"]
    assert vision["initializer_range"] == 0.02
    grid = vision["image_size"] // vision["patch_size"]
    assert grid % vision["window_size"] == 0  # windows that do not divide the grid cost padding


def test_mini_is_within_its_size(tmp_path: Path) -> None:
    config = ModelConfig.model_validate(MODELS["mini"])
    clip, sam = Clip(config.clip, tiny_tokenizer(tmp_path)), Sam(config.sam)
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (clip, sam)]
    assert config.clip.image_side <= 128
    assert config.sam.image_side <= 256
    assert all(0.2e6 < size < 2e6 for size in sizes)
    assert 2 * sum(sizes) < MOST_BYTES  # half precision
