"""How good `lavt-mini`'s Swin and BERT are, on everyday scenes that no training has drawn.

What read them in training is thrown away, so what is measured is how well a linear map reads the stored weights: one is
fitted by least squares to scenes of its own, and asked about the held-out ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from experiments.pretraining.bert import SIDE, asked_states, hide
from experiments.pretraining.corpus import NONE, coverage, draw_batch
from experiments.pretraining.swin import HUES, KIND_OF, stage_maps
from models.lavt.backbone import Backbone
from models.lavt.config import ImageConfig
from models.lavt.text import Text

FITTED = 400  # scenes that a linear map is fitted to
SEEDS = (2 * 10**6, 10**6)  # of those, and of the held-out ones
RIDGE = 1e-3


@torch.no_grad()
def swin_quality(config: ImageConfig, backbone: Backbone, scenes: int) -> dict[str, float]:
    """By stage, shares of held-out regions whose kind and whose colour a linear map reads from their mean there."""
    (fitted, fitted_kinds, fitted_hues), (asked, kinds, hues) = (
        _regions(config, backbone, seed, count) for seed, count in zip(SEEDS, (FITTED, scenes), strict=True)
    )
    report = {}
    for stage in range(len(fitted)):
        for name, fit_to, truth in (("kind", fitted_kinds, kinds), ("colour", fitted_hues, hues)):
            report[f"stage_{stage + 1}_{name}_accuracy"] = _read(fitted[stage], fit_to, asked[stage], truth)
    return report


def _regions(config: ImageConfig, backbone: Backbone, seed: int, scenes: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Of every region: its mean in each stage's map, its kind, its colour."""
    means: list[list[Tensor]] = [[] for _ in config.widths]
    kinds, hues = [], []
    for index in range(scenes):
        drawn = draw_batch((seed, index), 1, config.side)
        maps = stage_maps(config, backbone, drawn.images)
        for region in drawn.regions:
            for mean, map_1CHW in zip(means, maps, strict=True):
                share = torch.from_numpy(coverage(region.mask, map_1CHW.shape[-1]))
                mean.append((map_1CHW[0] * share).sum((1, 2)) / share.sum())
            kinds.append(KIND_OF[region.category])
            hues.append(HUES.index(region.colour) if region.colour else NONE)
    return [torch.stack(mean) for mean in means], torch.tensor(kinds), torch.tensor(hues)


@torch.no_grad()
def bert_quality(text: Text, scenes: int) -> dict[str, float]:
    """The share of tokens of masked words that a linear map reads from the states, in sentences of held-out scenes."""
    (fitted, words), (asked, truth) = (
        _words(text, seed, count) for seed, count in zip(SEEDS, (FITTED, scenes), strict=True)
    )
    return {"word_accuracy": _read(fitted, words, asked, truth)}


def _words(text: Text, seed: int, scenes: int) -> tuple[Tensor, Tensor]:
    """States (M, D) of the tokens of masked words, all shown as <unk>, and what they were."""
    known: list[Tensor] = []
    words: list[Tensor] = []
    for index in range(scenes):
        drawn = draw_batch((seed, index), 1, SIDE)
        texts = [expression.text for expression in drawn.expressions[0]]
        if texts:
            masked = hide(text.tokens, texts, np.random.default_rng([seed, index]), hidden=1.0, kept=0.0)
            for told, part in zip((known, words), asked_states(text, masked), strict=True):
                told.append(part)
    return torch.cat(known), torch.cat(words)


def _read(fitted: Tensor, classes: Tensor, asked: Tensor, truth: Tensor) -> float:
    """Share of the asked that a least-squares map of (features, classes) puts into their true class."""
    known, meant = classes != NONE, truth != NONE
    mean, std = fitted.mean(0), fitted.std(0) + 1e-6

    def inputs(features: Tensor) -> Tensor:
        return torch.cat([(features - mean) / std, torch.ones(len(features), 1)], dim=1).double()

    x = inputs(fitted[known])
    y = torch.nn.functional.one_hot(classes[known]).double()
    weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    found = (inputs(asked[meant]) @ weights).argmax(1)
    return float((found == truth[meant]).double().mean())
