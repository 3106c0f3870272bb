"""How `lavt-mini`'s BERT learns: words of phrases, guessed where they are masked.

N texts, T tokens, M of them masked, D channels, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu

from benchmark.expressions.writer import TEMPLATES
from benchmark.scenes.sketch import COLOURS, choose
from experiments.foundation_settings import Recipe
from experiments.pretraining.corpus import NONE, pick_batch
from models.lavt.config import TextConfig
from models.lavt.text import Text
from models.tokens import Tokens

SIDE = 64  # px of the scenes that sentences are written of: what can be said does not depend on it
SHARE = 0.2  # of a text's words are masked, at least one
HIDDEN, KEPT = 0.8, 0.1  # shares of the masked that are shown as <unk>, and as they are; the rest as any other word

# What aerial expressions name, in the words of tokenizer.AERIAL_WORDS. Nothing of it is drawn: that these stand where
# cups and kites stand is all that is learnt of them.
AERIAL_NAMES = (
    *("expressway service area", "expressway toll station", "airplane", "airport", "baseball field", "tennis court"),
    *("basketball court", "bridge", "chimney", "dam", "golf field", "ground track field", "harbor", "overpass", "ship"),
    *("stadium", "storage tank", "train station", "vehicle", "windmill", "building", "road", "vegetation", "water"),
    *("land", "aircraft", "swimming pool", "parking lot", "roundabout", "sidewalk", "road marking", "pavement"),
)
LOCATORS = tuple(TEMPLATES)


class Masked(NamedTuple):
    """shown_NT: token ids with words masked · mask_NT: which are the text's · asked_NT: the masked ones, NONE else."""

    shown_NT: Tensor
    mask_NT: Tensor
    asked_NT: Tensor


class BertPupil(nn.Module):
    """BERT, all of it in training, and the head that guesses, whose word vectors are BERT's own."""

    def __init__(self, config: TextConfig, text: Text) -> None:
        super().__init__()
        self.text = text
        self.text.bert.requires_grad_(True)
        self.before = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.bias = nn.Parameter(torch.zeros(int(config.bert["vocab_size"])))

    def forward(self, masked: Masked) -> tuple[Tensor, Tensor]:
        """Logits (M, V) of the tokens that are asked, and what they are (M)."""
        states_MD, words_M = asked_states(self.text, masked)
        words_VD = self.text.bert.embeddings.word_embeddings.weight
        return self.norm(gelu(self.before(states_MD))) @ words_VD.T + self.bias, words_M


def bert_loss(pupil: BertPupil, seed: Sequence[int], recipe: Recipe) -> Tensor:
    """Cross-entropy of the masked words, in expressions of drawn scenes and half as many of aerial things."""
    drawn = pick_batch(seed, recipe, SIDE)
    rng = np.random.default_rng([*seed, recipe.batch_scenes])
    texts = [expression.text for expressions in drawn.expressions for expression in expressions]
    masked = hide(pupil.text.tokens, [*texts, *aerial_texts(len(texts) // 2, rng)], rng)
    logits_MV, words_M = pupil(masked)
    return cross_entropy(logits_MV, words_M)


def asked_states(text: Text, masked: Masked) -> tuple[Tensor, Tensor]:
    """BERT's last states of the tokens that are asked (M, D), and what they are (M)."""
    states_NTD = text.bert(input_ids=masked.shown_NT, attention_mask=masked.mask_NT.long()).last_hidden_state
    asked_NT = masked.asked_NT != NONE
    return states_NTD[asked_NT], masked.asked_NT[asked_NT]


def hide(
    tokens: Tokens, texts: Sequence[str], rng: np.random.Generator, hidden: float = HIDDEN, kept: float = KEPT
) -> Masked:
    """Mask some words of each text, all tokens of a word together; as wide as the longest."""
    ids_NT, mask_NT = tokens(texts)
    longest = int(mask_NT.sum(1).max())
    ids_NT, mask_NT = ids_NT[:, :longest], mask_NT[:, :longest]
    tokenizer = tokens.tokenizer
    ours_NT = (mask_NT & (ids_NT != tokenizer.eos_token_id)).numpy()
    begins_V = np.array([token.startswith("Ġ") for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])
    word_NT = np.where(ours_NT, np.cumsum(begins_V[ids_NT.numpy()] & ours_NT, axis=1), 0)  # from 1; 0: no word
    count_N1 = word_NT.max(axis=1, keepdims=True)
    draw_NW = np.where(np.arange(word_NT.max()) < count_N1, rng.random((len(texts), word_NT.max())), 2.0)
    rank_NW = draw_NW.argsort(axis=1).argsort(axis=1)
    chosen_NW = rank_NW < np.maximum(1, np.rint(SHARE * count_N1))
    asked_NT = torch.from_numpy(np.take_along_axis(chosen_NW, np.maximum(word_NT - 1, 0), axis=1) & (word_NT > 0))
    how_NT = torch.from_numpy(rng.random(ids_NT.shape))
    other_NT = torch.from_numpy(rng.integers(len(tokenizer), size=ids_NT.shape))
    shown_NT = torch.where(how_NT < hidden, int(tokenizer.unk_token_id), other_NT)
    shown_NT = torch.where((how_NT >= 1 - kept) | ~asked_NT, ids_NT, shown_NT)
    return Masked(shown_NT, mask_NT, torch.where(asked_NT, ids_NT, NONE))


def aerial_texts(count: int, rng: np.random.Generator) -> list[str]:
    """The writer's wordings, filled with names and colours at random."""
    return [
        choose(rng, TEMPLATES[choose(rng, LOCATORS)]).format(n=_aerial_name(rng), a=_aerial_name(rng))
        for _ in range(count)
    ]


def _aerial_name(rng: np.random.Generator) -> str:
    name = choose(rng, AERIAL_NAMES)
    return f"{choose(rng, tuple(COLOURS))} {name}" if rng.random() < 0.5 else name
