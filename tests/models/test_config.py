from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from models.config import LoraConfig, ModelConfig, PrompterConfig
from models.zoo import MODELS
from tests.tiny import tiny_config

PARTS = ("clip", "sam", "prompter", "lora", "compute")


def plain() -> dict[str, Any]:
    return copy.deepcopy(MODELS["mini"])


def test_an_unknown_key_is_refused_at_every_level(subtests: pytest.Subtests) -> None:
    for part in ("", *PARTS):
        data = plain()
        (data[part] if part else data)["unheard_of"] = 1
        message = rf"{part + '.' if part else ''}unheard_of\n\s+Extra inputs"
        with subtests.test(part), pytest.raises(ValidationError, match=message):
            ModelConfig.model_validate(data)


def test_a_part_that_is_left_out_is_an_error_and_never_a_default(subtests: pytest.Subtests) -> None:
    for part in PARTS:
        data = plain()
        del data[part]
        with subtests.test(part), pytest.raises(ValidationError, match=rf"{part}\n\s+Field required"):
            ModelConfig.model_validate(data)


def test_null_means_off() -> None:
    assert ModelConfig.model_validate({**plain(), "lora": None}).lora is None
    assert ModelConfig.model_validate({**plain(), "lora": {}}).lora == LoraConfig(rank=16, alpha=16, dropout=0.1)


def test_what_cannot_be_off_refuses_null(subtests: pytest.Subtests) -> None:
    for part in ("clip", "sam", "prompter", "compute"):
        with subtests.test(part), pytest.raises(ValidationError, match=part):
            ModelConfig.model_validate({**plain(), part: None})


def test_a_configuration_is_frozen() -> None:
    config = tiny_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.prompter.local = False  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.lora = None  # type: ignore[misc]


def test_both_terms_off_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"prompter\.local and prompter\.global are both false"):
        PrompterConfig.model_validate({"local": False, "global": False})


def test_a_switch_takes_true_or_false_and_nothing_that_looks_like_it(subtests: pytest.Subtests) -> None:
    looks: list[Any] = ["False", "false", "True", "no", "", 0, 1, None, []]
    for key, value in product(("local", "global", "dense"), looks):
        with subtests.test(key, value=value), pytest.raises(ValidationError, match=key):
            PrompterConfig.model_validate({key: value})


def test_global_is_written_as_in_params_yaml() -> None:
    prompter = PrompterConfig.model_validate({"global": False})
    assert not prompter.global_
    terms = {"local": True, "global": False, "dense": True}
    assert prompter.model_dump(by_alias=True) == {
        **terms,
        "formulation": "released",
        "downsample": 4,
        "grid": None,
        "start": "released",
    }


def test_values_that_make_no_model_are_refused(subtests: pytest.Subtests) -> None:
    values: list[tuple[str, str, Any]] = [
        ("prompter", "downsample", 3),
        ("prompter", "downsample", 1),
        ("prompter", "formulation", "mine"),
        ("prompter", "grid", 0),
        ("lora", "text", "lower_half"),
        ("lora", "text", None),
        ("compute", "attention", "flash"),
        ("compute", "precision", "float16"),
        ("compute", "gradient_checkpointing", ["clip"]),
        ("compute", "compile", "yes"),
        ("lora", "rank", 0),
        ("lora", "alpha", 0),
        ("lora", "dropout", 1.0),
        ("lora", "rank", None),
        ("clip", "family", "blip"),
        ("clip", "pixel_mean", [0.5, 0.5]),
    ]
    for part, key, value in values:
        data = plain()
        data[part] = {**data[part], key: value}
        with subtests.test(f"{part}.{key}", value=value), pytest.raises(ValidationError, match=rf"{part}\.{key}"):
            ModelConfig.model_validate(data)


def test_patches_and_words_must_have_one_width() -> None:
    data = plain()
    data["clip"]["text"]["hidden_size"] = 64
    with pytest.raises(ValidationError, match=r"clip\.vision\.hidden_size is 128 and clip\.text\.hidden_size is 64"):
        ModelConfig.model_validate(data)


def test_a_projection_and_a_neutral_caption_belong_to_clip_alone(subtests: pytest.Subtests) -> None:
    values: list[tuple[str, str, Any, str]] = [
        ("clip", "projection", None, r"clip\.projection is None: family 'clip' needs one"),
        ("clip", "neutral", None, r"clip\.neutral is None: family 'clip' needs one"),
        ("siglip", "projection", 32, r"clip\.projection is 32: family 'siglip' does not have one"),
        ("siglip2", "neutral", "a photo.", r"clip\.neutral is 'a photo\.': family 'siglip2' does not have one"),
    ]
    for family, key, value, message in values:
        data = tiny_config(family=family).model_dump(by_alias=True)
        data["clip"][key] = value
        with subtests.test(family, key=key), pytest.raises(ValidationError, match=message):
            ModelConfig.model_validate(data)


def test_the_prompter_works_on_clip_s_map_unless_another_grid_is_asked_for() -> None:
    assert tiny_config().prompter_grid == tiny_config().clip.grid == 8
    assert tiny_config({"prompter": {"grid": 24}}).prompter_grid == 24


def test_sizes_are_read_off_the_parts() -> None:
    config = tiny_config()
    assert (config.clip.image_side, config.clip.width, config.clip.text_length) == (32, 32, 10)
    assert (config.sam.image_side, config.sam.grid, config.sam.mask_side, config.sam.width) == (64, 8, 32, 32)


def test_a_configuration_survives_its_own_json() -> None:
    config = tiny_config({"prompter": {"global": False}, "lora": None})
    assert ModelConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config
