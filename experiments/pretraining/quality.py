"""How good the foundation models are, on everyday scenes that no training has drawn."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate, normalize

from benchmark.expressions.writer import write_expressions
from benchmark.scenes.everyday.shapes import SHAPES
from experiments.pretraining.corpus import Drawn, coverage, draw_batch
from experiments.pretraining.sam import PROMPTS, prompted, truth_on_grid
from models.clip import Clip
from models.sam import Sam

CATEGORIES = tuple(SHAPES)
ALIAS = {category: category for category in SHAPES} | {s.also: category for category, s in SHAPES.items() if s.also}


@torch.no_grad()
def clip_quality(clip: Clip, scenes: int, seed: int = 10**6) -> dict[str, float]:
    """Two questions about held-out scenes, each a share of all regions or expressions.

    phrase_accuracy: is a region's pooled feature nearest to its own category's phrase, among those of all categories?
    pointing_accuracy: does an expression's heat map peak on its region?
    """
    phrases = [f"the {category}" for category in CATEGORIES]
    phrase_KC = normalize(clip.encode_texts(phrases)[2], dim=-1)
    named, pointed = [], []
    for index in range(scenes):
        drawn = draw_batch((seed, index), 1, clip.config.image_side)
        visual_CHW = normalize(clip.encode_images(drawn.images)[0], dim=0)
        cells = visual_CHW.shape[-1]
        for region in drawn.regions:
            share = torch.from_numpy(coverage(region.mask, cells))
            pooled_C = normalize((visual_CHW * share).sum((1, 2)), dim=0)
            if region.category in ALIAS:
                named.append(CATEGORIES[int((phrase_KC @ pooled_C).argmax())] == ALIAS[region.category])
        expressions = write_expressions(drawn.regions, np.random.default_rng([seed, index]), per_region=1)
        if not expressions:
            continue
        sentence_NC = normalize(clip.encode_texts([expression.text for expression in expressions])[2], dim=-1)
        peak_N = torch.einsum("nc,chw->nhw", sentence_NC, visual_CHW).flatten(1).argmax(1)
        for expression, peak in zip(expressions, peak_N.tolist(), strict=True):
            covered = coverage(drawn.regions[expression.region].mask, cells) > 0
            pointed.append(bool(covered.flat[peak]))
    return {"phrase_accuracy": float(np.mean(named)), "pointing_accuracy": float(np.mean(pointed))}


@torch.no_grad()
def sam_quality(sam: Sam, scenes: int, seed: int = 10**6) -> dict[str, float]:
    """Mean IoU of every region of held-out scenes, at the scene's own size, for each kind of prompt."""
    values: dict[str, list[float]] = {kind: [] for kind in PROMPTS}
    for index in range(scenes):
        drawn: Drawn = draw_batch((seed, index), 1, sam.config.image_side)
        image_1Chw = sam.encode(drawn.images)
        for kind in PROMPTS:
            rng = np.random.default_rng([seed, index])
            logits, _, truth = prompted(sam, image_1Chw, drawn, range(len(drawn.regions)), kind, rng)
            size = (sam.config.image_side, sam.config.image_side)
            full = interpolate(logits.unsqueeze(1), size=size, mode="bilinear", align_corners=False).squeeze(1) > 0
            true = truth_on_grid(truth, sam.config.image_side) > 0.5
            values[kind] += ((full & true).sum((1, 2)) / (full | true).sum((1, 2))).tolist()
    return {f"{kind.replace(' ', '_')}_miou": float(np.mean(found)) for kind, found in values.items()}
