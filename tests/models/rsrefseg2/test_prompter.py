from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from models.clip import ClipFeatures
from models.rsrefseg2.config import CascadeConfig
from models.rsrefseg2.prompter import CascadedPrompter, averaged_parts
from tests.tiny import draw_weights

SMALL = {"inner": 16, "heads": 2, "mlp": 24, "prompts": 4}


def features(tokens: int = 6) -> ClipFeatures:
    """Of two images and three expressions of 2, 6 and 1 tokens."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mask = torch.arange(tokens) < torch.tensor([[2], [6], [1]])
    return ClipFeatures(
        draw(2, 32, 4, 4), draw(3, tokens, 32), mask, draw(3, 32), torch.tensor(7.0), torch.tensor(-1.0), None
    )


def prompter(**settings: object) -> CascadedPrompter:
    torch.manual_seed(0)
    config = CascadeConfig.model_validate({**SMALL, **settings})
    built = CascadedPrompter(config, clip_width=32, clip_grid=4, sam_width=24, mask_side=16)
    draw_weights(built, 0)
    return built.double().eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_prompter_has_its_published_parameters() -> None:
    with torch.device("meta"):
        built = CascadedPrompter(CascadeConfig(), clip_width=1152, clip_grid=32, sam_width=256, mask_side=256)
    assert count(built.query_blocks) == 37_840_384
    assert count(built.image_blocks) == 11_824_384
    assert count(built.prompt_blocks) == 19_707_648
    assert count(built) == 82_773_312


def test_without_the_second_query_nothing_of_it_is_built() -> None:
    whole, one = prompter(), prompter(second_query=False)
    attention, feed, position = 4 * 32 * 16 + 3 * 16 + 32 + 64, 2 * 32 * 24 + 24 + 32 + 64, 3 * 32
    exchange = 2 * (attention + feed)
    assert count(whole) - count(one) == 2 * (2 * attention + feed + exchange) + position
    with torch.no_grad():
        assert [len(built(features(), torch.tensor([0, 1, 1])).queries) for built in (whole, one)] == [2, 1]


def test_the_first_queries_are_each_text_s_own_tokens_averaged_in_parts(subtests: pytest.Subtests) -> None:
    text = torch.randn(1, 9, 5, dtype=torch.float64)
    for length in range(1, 9):
        with subtests.test(length=length):
            found = averaged_parts(text, torch.arange(9)[None] < length, 3)
            expected = adaptive_avg_pool1d(text[:, :length].transpose(1, 2), 3).transpose(1, 2)
            torch.testing.assert_close(found, expected)


def test_only_as_words_does_padding_change_nothing(subtests: pytest.Subtests) -> None:
    given, index = features(), torch.tensor([0, 1, 1])
    garbage = torch.cat([given.text_NTC, torch.full((3, 5, 32), 9.0, dtype=torch.float64)], dim=1)
    longer = dataclasses.replace(
        given, text_NTC=garbage, mask_NT=torch.cat([given.mask_NT, torch.zeros(3, 5, dtype=torch.bool)], dim=1)
    )
    for rule in ("words", "padded"):
        with subtests.test(rule), torch.no_grad():
            one, other = (prompter(text=rule)(inputs, index) for inputs in (given, longer))
            same = torch.allclose(one.sparse_NPD, other.sparse_NPD, rtol=0, atol=1e-9)
            assert same == torch.allclose(one.heat_NSS, other.heat_NSS, rtol=0, atol=1e-9) == (rule == "words")


def test_the_dense_prompt_is_a_logit_of_clip_s_scale_and_bias() -> None:
    with torch.no_grad():
        cascade = prompter()(features(), torch.tensor([0, 1, 1]))
    assert cascade.heat_NSS.shape == (3, 16, 16)
    cosine = (cascade.heat_NSS + 1) / 7
    assert 0.1 < cosine.abs().max() <= 1
    assert cascade.sparse_NPD.shape == (3, 4, 24)
