"""How `mini`'s CLIP learns, patch by patch, which phrases hold there.

A sigmoid image-text loss (SigLIP's) in which the "images" are the patches of whole scenes. Trained on crops instead,
its patches align badly inside a scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, normalize

from benchmark.expressions.regions import Region
from benchmark.scenes.everyday.scene import CATEGORIES
from experiments.foundation_settings import Recipe
from experiments.pretraining.corpus import Drawn, cell_owner, coverage, pick_batch
from models.clip import Clip

NAMES = tuple(f"the {category}" for category in CATEGORIES)
MOST_TEXTS = 48  # expressions of a batch, and phrases: texts cost as much as images


def clip_loss(clip: Clip, seed: Sequence[int], recipe: Recipe) -> Tensor:
    """Four losses on the patches of drawn scenes, summed.

    refer: an expression ("the red cup left of the clock") against every patch of its own scene, its sentence and its
    end token alike, by sigmoid and by softmax over the patches.
    phrase: a simple phrase ("the cup", "the red cup") against every patch of every scene of the batch, where it is
    known to be true or false, so that no true pair is ever pushed apart.
    name: the pooled feature of a region against the phrases of all categories, by softmax.
    word: each token of a word that names ("red", "cup", "clock") against every patch of the expression's scene: true
    where the object's name or colour holds that word. This is what local semantics mean.
    In the sigmoid losses patches count in three groups of equal weight, positive, other objects, background;
    half-covered ones not at all.
    """
    drawn = pick_batch(seed, recipe, clip.config.image_side)
    rng = np.random.default_rng([*seed, recipe.batch_scenes])
    visual_BCHW = clip.encode_images(drawn.images)
    cells = visual_BCHW.shape[-1]
    owner_BL = torch.from_numpy(cell_owner(drawn, cells)).flatten(1)  # region index, -1 background, -2 half-covered
    expressions, region_of = _expressions(drawn, rng)
    phrases, truth_RP = _phrases(drawn.regions, rng)

    texts = list(dict.fromkeys([*expressions, *phrases, *NAMES]))
    place = {text: index for index, text in enumerate(texts)}
    text = clip.encode_texts(texts)
    sentence_KC, token_KTC = normalize(text.sentence_NC, dim=-1), normalize(text.text_NTC, dim=-1)
    visual_BCL = normalize(visual_BCHW, dim=1).flatten(2)
    scale, bias = clip.model.logit_scale.exp(), clip.model.logit_bias

    at_N = [place[expression] for expression in expressions]
    region_N = torch.tensor(region_of)
    scene_N = torch.tensor(drawn.scene_of)[region_N]
    owner_NL = owner_BL[scene_N]
    positive_NL = owner_NL == region_N[:, None]
    share_NL = positive_NL.float() / positive_NL.sum(1, keepdim=True).clamp(min=1)
    end_N = text.mask_NT[at_N].sum(1) - 1
    refer = torch.zeros(())
    for query_NC in (sentence_KC[at_N], token_KTC[at_N, end_N]):
        refer_NL = _in_scene(query_NC, visual_BCL, scene_N) * scale + bias
        refer = refer + _grouped_bce(refer_NL, positive_NL, owner_NL)
        refer = refer - (share_NL * refer_NL.masked_fill(owner_NL == -2, -1e4).log_softmax(1)).sum(1).mean()

    phrase_PC = sentence_KC[[place[phrase] for phrase in phrases]]
    phrase_BPL = torch.einsum("pc,bcl->bpl", phrase_PC, visual_BCL) * scale + bias
    owner_BPL = owner_BL[:, None].expand_as(phrase_BPL)
    truth_BPL = torch.from_numpy(truth_RP)[owner_BL.clamp(min=0)].transpose(1, 2) & (owner_BPL >= 0)
    phrase = _grouped_bce(phrase_BPL, truth_BPL, owner_BPL)

    scene_R = torch.tensor(drawn.scene_of)
    covered_RL = torch.from_numpy(np.stack([coverage(region.mask, cells) for region in drawn.regions])).flatten(1)
    pooled_BRC = torch.einsum("rl,bcl->brc", covered_RL, visual_BCL)
    pooled_RC = normalize(pooled_BRC[scene_R, torch.arange(len(scene_R))], dim=-1)
    named_RK = pooled_RC @ sentence_KC[[place[name] for name in NAMES]].T * scale
    name = cross_entropy(named_RK, torch.tensor([NAMES.index(f"the {region.category}") for region in drawn.regions]))

    which_W, token_W, truth_WR = _words(clip, expressions, scene_R[region_N].tolist(), drawn)
    word_WC = token_KTC[torch.tensor(at_N)[which_W], token_W]
    word_WL = _in_scene(word_WC, visual_BCL, scene_N[which_W]) * scale + bias
    owner_WL = owner_NL[which_W]
    hit_WL = truth_WR.gather(1, owner_WL.clamp(min=0)) & (owner_WL >= 0)
    word = _grouped_bce(word_WL, hit_WL, owner_WL)
    return refer / 2 + phrase + name + word


def _in_scene(query_NC: Tensor, visual_BCL: Tensor, scene_N: Tensor) -> Tensor:
    """Cosines of each query with the patches of its scene -> (N, L); all at once are cheaper than copies."""
    return torch.einsum("nc,bcl->nbl", query_NC, visual_BCL)[torch.arange(len(scene_N)), scene_N]


def _grouped_bce(logits: Tensor, positive: Tensor, owner: Tensor) -> Tensor:
    loss = bce(logits, positive.float(), reduction="none")
    groups = (positive, (owner >= 0) & ~positive, owner == -1)
    return sum(loss[group].mean() for group in groups if group.any())  # type: ignore[return-value]


def _expressions(drawn: Drawn, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Some expressions of the batch, at most one a region, and the region of each."""
    firsts = np.searchsorted(drawn.scene_of, range(len(drawn.images))).tolist()
    told: dict[int, list[str]] = {}
    for first, expressions in zip(firsts, drawn.expressions, strict=True):
        for expression in expressions:
            told.setdefault(first + expression.region, []).append(expression.text)
    kept = sorted(rng.permutation(list(told))[:MOST_TEXTS].tolist())
    return [told[region][int(rng.integers(len(told[region])))] for region in kept], kept


def _phrases(regions: Sequence[Region], rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Distinct simple phrases of the batch and for every region whether each is true of it (R, P)."""
    pairs = {(region.category, region.colour if rng.random() < 0.5 else None) for region in regions}
    ordered = sorted(pairs, key=lambda pair: (pair[0], pair[1] or ""))
    ordered = [ordered[index] for index in np.sort(rng.permutation(len(ordered))[:MOST_TEXTS])]
    truth = np.array(
        [
            [region.category == category and colour in (None, region.colour) for category, colour in ordered]
            for region in regions
        ]
    )
    return [f"the {colour} {category}" if colour else f"the {category}" for category, colour in ordered], truth


def _words(
    clip: Clip, expressions: Sequence[str], scene_of: Sequence[int], drawn: Drawn
) -> tuple[Tensor, Tensor, Tensor]:
    """Every token of a word that names something in its expression's scene: which expression it is of (W,), which of
    its tokens (W,), and of which regions of the batch the word is true (W, R), those of other scenes left out."""
    said = [{*region.category.split(), region.colour} for region in drawn.regions]
    which, token, truth = [], [], []
    encodings = clip.tokens.tokenizer(list(expressions)).encodings
    for index, (expression, encoding) in enumerate(zip(expressions, encodings, strict=True)):
        words = expression.split()
        rows = {
            word: [
                word in names and scene == scene_of[index] for names, scene in zip(said, drawn.scene_of, strict=True)
            ]
            for word in set(words)
        }
        for position, word_index in enumerate(encoding.word_ids[: clip.config.text_length]):
            if word_index is not None and any(rows[words[word_index]]):
                which.append(index)
                token.append(position)
                truth.append(rows[words[word_index]])
    return torch.tensor(which), torch.tensor(token), torch.tensor(truth)
