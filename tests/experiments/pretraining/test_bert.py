from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.foundation_settings import Recipe
from experiments.pretraining.bert import AERIAL_NAMES, BertPupil, Masked, aerial_texts, bert_loss, hide
from experiments.pretraining.corpus import NONE
from experiments.pretraining.loop import train
from experiments.pretraining.tokenizer import AERIAL_WORDS
from models.lavt.config import LavtConfig
from models.lavt.text import Text
from models.tokens import load_tokenizer
from models.zoo import MODELS

WORDS = Path(__file__).parents[3] / "weights" / "mini" / "tokenizer.json"
CONFIG = LavtConfig.model_validate(MODELS["lavt-mini"]).text
TEXTS = ["the red toothbrush left of the expressway service area", "the cup", "the biggest zeppelin in the image"]
RECIPE = Recipe(steps=15, batch_scenes=2, scenes=3, lr=3e-3, weight_decay=0.0, seed=0)


@pytest.fixture
def pupil() -> BertPupil:
    torch.manual_seed(0)
    return BertPupil(CONFIG, Text(CONFIG, load_tokenizer(WORDS, CONFIG.tokenizer)))


def hidden(pupil: BertPupil, seed: int, **shares: Any) -> Masked:
    return hide(pupil.text.tokens, TEXTS, np.random.default_rng(seed), **shares)


def test_words_are_hidden_whole_and_the_end_of_a_text_never(pupil: BertPupil) -> None:
    tokenizer = pupil.text.tokens.tokenizer
    several = False
    for seed in range(20):
        masked = hidden(pupil, seed, hidden=1.0, kept=0.0)
        for text, encoding, shown, asked in zip(
            TEXTS, tokenizer(TEXTS).encodings, masked.shown_NT.tolist(), masked.asked_NT.tolist(), strict=True
        ):
            places = [place for place, word in enumerate(asked) if word != NONE]
            words = [encoding.word_ids[place] for place in places]
            assert None not in words, "the end"
            assert places == [place for place, word in enumerate(encoding.word_ids) if word in words], "a part of one"
            assert len(set(words)) == max(1, round(0.2 * len(text.split())))
            assert [asked[place] for place in places] == [encoding.ids[place] for place in places]
            assert [shown[place] for place in places] == [tokenizer.unk_token_id] * len(places)
            rest = [place for place in range(len(encoding.ids)) if place not in places]
            assert [shown[place] for place in rest] == [encoding.ids[place] for place in rest]
            several |= len(places) > len(set(words))
    assert several, "no word of several tokens was hidden"


def test_some_hidden_words_are_shown_as_they_are_and_some_as_others(pupil: BertPupil) -> None:
    kept = hidden(pupil, 0, hidden=0.0, kept=1.0)
    ids = pupil.text.tokens(TEXTS)[0][:, : kept.shown_NT.shape[1]]
    assert torch.equal(kept.shown_NT, ids)
    other = hidden(pupil, 0, hidden=0.0, kept=0.0)
    asked = other.asked_NT != NONE
    assert asked.equal(kept.asked_NT != NONE)
    assert not (other.shown_NT[asked] == pupil.text.tokens.tokenizer.unk_token_id).any()
    assert (other.shown_NT[asked] != ids[asked]).any()


def test_aerial_texts_are_made_of_the_tokenizer_s_aerial_words(pupil: BertPupil) -> None:
    assert {word for name in AERIAL_NAMES for word in name.split()} <= set(AERIAL_WORDS)
    texts = aerial_texts(50, np.random.default_rng(0))
    assert len(set(texts)) > 40
    assert not any("{" in text for text in texts)
    assert all(any(name in text for name in AERIAL_NAMES) for text in texts)


def test_bert_learns_with_its_embeddings(pupil: BertPupil) -> None:
    before = bert_loss(pupil, (0, 0), RECIPE)
    before.backward()
    assert not [name for name, value in pupil.text.bert.named_parameters() if value.grad is None]
    list(train(pupil, RECIPE, lambda _, recipe: bert_loss(pupil, (0, 0), recipe), "BERT"))
    assert bert_loss(pupil, (0, 0), RECIPE).item() < 0.8 * before.item()
