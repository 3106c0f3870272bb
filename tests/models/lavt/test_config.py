from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.config import SettingError
from models.lavt import sizes
from models.lavt.config import LavtConfig
from models.rmsin import sizes as rmsin_sizes
from models.rmsin.config import RmsinConfig
from tests.language_aware import PLAIN, on_meta


def test_every_named_size_is_a_valid_configuration_in_plain_data(subtests: pytest.Subtests) -> None:
    for kind, named in ((LavtConfig, sizes.SIZES), (RmsinConfig, rmsin_sizes.SIZES)):
        for name, size in named.items():
            with subtests.test(name):
                plain = kind.model_validate(size).model_dump(mode="json")
                assert json.loads(json.dumps(plain)) == plain


def test_stages_have_their_published_grids() -> None:
    assert LavtConfig.model_validate(sizes.SIZES["lavt"]).image.grids == [120, 60, 30, 15]
    assert LavtConfig.model_validate(sizes.SIZES["lavt-mini"]).image.grids == [48, 24, 12, 6]


def test_what_could_not_be_computed_is_refused_with_its_value(subtests: pytest.Subtests) -> None:
    swin, bert = PLAIN["image"]["swin"], PLAIN["text"]
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("one cell", {"image": {"swin": {**swin, "image_size": 16}}}, r"leaves 1 x 1 cells .* needs 4 x 4"),
        ("patches", {"image": {"swin": {**swin, "image_size": 65}}}, r"is 65: patches of 2 do not fill it"),
        (
            "length",
            {"text": {**bert, "length": 13}},
            r"text\.length is 13 and .*max_position_embeddings is 12",
        ),
        ("layers", {"text": {**bert, "trained_layers": 4}}, r"trained_layers is 4 and .*num_hidden_layers is 3"),
        ("unknown", {"dropout": 0.1}, r"Extra inputs"),
    ]
    for name, change, said in cases:
        with subtests.test(name), pytest.raises(ValidationError, match=said):
            LavtConfig.model_validate({**PLAIN, **change})
    with pytest.raises(ValidationError, match=r"embed_dim is 6: CIM works on a quarter"):
        RmsinConfig.model_validate({**PLAIN, "cim": {}, "image": {"swin": {**swin, "embed_dim": 6}}})


def test_a_setting_that_transformers_does_not_have_is_refused() -> None:
    config = LavtConfig.model_validate({**PLAIN, "image": {"swin": {**PLAIN["image"]["swin"], "windowsize": 4}}})
    with pytest.raises(SettingError, match=r"image\.swin\.windowsize: unknown key; did you mean window_size"):
        on_meta(config)
