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
from torch.nn.functional import normalize

from benchmark.expressions.regions import Region
from benchmark.expressions.writer import write_expressions
from experiments.pretraining.corpus import Drawn, coverage, draw_batch
from models.clip import Clip


def clip_loss(clip: Clip, seed: Sequence[int], batch_scenes: int) -> Tensor:
    """Two sigmoid losses on patches: `refer` within a scene, `phrase` across the batch.

    refer: an expression ("the red cup left of the clock") against every patch of its own scene.
    phrase: a simple phrase ("the cup", "the red cup") against every patch of every scene of the batch, where it is
    known to be true or false, so that no true pair is ever pushed apart.
    Patches count in three groups of equal weight, positive, other objects, background; half-covered ones not at all.
    """
    drawn = draw_batch(seed, batch_scenes, clip.config.image_side)
    rng = np.random.default_rng([*seed, batch_scenes])
    visual_BCHW = clip.encode_images(drawn.images)
    cells = visual_BCHW.shape[-1]
    owner_BL = torch.from_numpy(_patch_owner(drawn, cells)).flatten(1)  # region index, -1 background, -2 half-covered
    expressions, region_of = _expressions(drawn, rng)
    phrases, truth_RP = _phrases(drawn.regions, rng)

    texts = list(dict.fromkeys([*expressions, *phrases]))
    place = {text: index for index, text in enumerate(texts)}
    sentence_KC = normalize(clip.encode_texts(texts)[2], dim=-1)
    visual_BCL = normalize(visual_BCHW, dim=1).flatten(2)
    scale, bias = clip.model.logit_scale.exp(), clip.model.logit_bias

    region_N = torch.tensor(region_of)
    scene_N = torch.tensor(drawn.scene_of)[region_N]
    refer_NL = (
        torch.einsum("nc,ncl->nl", sentence_KC[[place[text] for text in expressions]], visual_BCL[scene_N]) * scale
        + bias
    )
    owner_NL = owner_BL[scene_N]
    positive_NL = owner_NL == region_N[:, None]
    refer = _grouped_bce(refer_NL, positive_NL, owner_NL)
    share_NL = positive_NL.float() / positive_NL.sum(1, keepdim=True).clamp(min=1)
    refer = refer - (share_NL * refer_NL.masked_fill(owner_NL == -2, -1e4).log_softmax(1)).sum(1).mean()

    phrase_BPL = torch.einsum("pc,bcl->bpl", sentence_KC[[place[text] for text in phrases]], visual_BCL) * scale + bias
    owner_BPL = owner_BL[:, None].expand_as(phrase_BPL)
    truth = torch.from_numpy(truth_RP)[owner_BL.clamp(min=0)].transpose(1, 2) & (owner_BPL >= 0)
    return refer + _grouped_bce(phrase_BPL, truth, owner_BPL)


def _grouped_bce(logits: Tensor, positive: Tensor, owner: Tensor) -> Tensor:
    loss = bce(logits, positive.float(), reduction="none")
    groups = (positive, (owner >= 0) & ~positive, owner == -1)
    return sum(loss[group].mean() for group in groups if group.any())  # type: ignore[return-value]


def _patch_owner(drawn: Drawn, cells: int) -> np.ndarray:
    """For each patch of each scene (B, cells, cells): the region that owns it, -1 background, -2 half-covered."""
    owner = np.full((len(drawn.images), cells, cells), -1, dtype=np.int64)
    best = np.zeros(owner.shape, dtype=np.float32)
    for index, (region, scene) in enumerate(zip(drawn.regions, drawn.scene_of, strict=True)):
        share = coverage(region.mask, cells)
        owned = (share >= 0.5 * share.max()) & (share > best[scene])
        touched = (share > 0) & ~owned & (owner[scene] == -1)
        owner[scene][touched] = -2
        owner[scene][owned] = index
        best[scene][owned] = share[owned]
    return owner


def _expressions(drawn: Drawn, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    texts, region_of, first = [], [], 0
    for scene in drawn.scenes:
        for expression in write_expressions(scene.regions, rng, per_region=1):
            texts.append(expression.text)
            region_of.append(first + expression.region)
        first += len(scene.regions)
    return texts, region_of


def _phrases(regions: Sequence[Region], rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Distinct simple phrases of the batch and for every region whether each is true of it (R, P)."""
    pairs = {(region.category, region.colour if rng.random() < 0.5 else None) for region in regions}
    ordered = sorted(pairs, key=lambda pair: (pair[0], pair[1] or ""))
    truth = np.array(
        [
            [region.category == category and colour in (None, region.colour) for category, colour in ordered]
            for region in regions
        ]
    )
    return [f"the {colour} {category}" if colour else f"the {category}" for category, colour in ordered], truth
