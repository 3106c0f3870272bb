"""How `mini`'s SAM learns to cut out what a point, a box or a coarse mask says, each in its own steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate

from experiments.foundation_settings import Recipe
from experiments.pretraining.corpus import Drawn, coverage, pick_batch
from experiments.training.losses import dice_loss
from models.sam import Sam

PROMPTS = ("point", "box", "mask", "mask and point")
SHARES = (0.4, 0.15, 0.2, 0.25)  # of the steps


@torch.no_grad()
def fresh_start(sam: Sam) -> None:
    """Weights from which a small SAM learns points at once.

    transformers draws them with a standard deviation of 0.02, which at a width of 64 leaves all attention flat: Xavier
    instead. And the decoder's keys begin as its queries: positions that are alike, a point and its cell, then attend to
    each other before anything is learnt.
    """
    for module in sam.model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    for name, module in sam.model.mask_decoder.transformer.named_modules():
        if name.endswith(("attn_token_to_image", "attn_image_to_token")):
            module.k_proj.weight.copy_(module.q_proj.weight)


def sam_loss(sam: Sam, seed: Sequence[int], recipe: Recipe, most_prompts: int = 6) -> Tensor:
    """BCE and dice of the masks that one kind of prompt gives, and the error of the decoder's own IoU estimate."""
    drawn = pick_batch(seed, recipe, sam.config.image_side)
    rng = np.random.default_rng([*seed, recipe.batch_scenes])
    chosen = np.flatnonzero(_rank_in_scene(drawn.scene_of, rng) < most_prompts)
    kind = PROMPTS[rng.choice(len(PROMPTS), p=SHARES)]
    fading = kind == "mask and point"  # what a faint mask does not say is looked for in the point
    logits, quality, truth = prompted(sam, sam.encode(drawn.images), drawn, chosen, kind, rng, fading)
    target = truth_on_grid(truth, logits.shape[-1])
    with torch.no_grad():
        inside, hit = logits > 0, target > 0.5
        iou = (inside & hit).sum((1, 2)) / (inside | hit).sum((1, 2)).clamp(min=1)
    return 5 * bce(logits, target) + dice_loss(logits, target) + torch.square(quality - iou).mean()


def prompted(
    sam: Sam,
    image_BChw: Tensor,
    drawn: Drawn,
    chosen: Sequence[int] | np.ndarray,
    kind: str,
    rng: np.random.Generator,
    fading: bool = False,
) -> tuple[Tensor, Tensor, list[np.ndarray]]:
    """Decode the chosen regions of a batch from one kind of prompt -> logits (N, 4h, 4w), quality (N,), true masks.

    fading: multiply a coarse mask's logits by what is drawn from [0, 1].
    """
    masks = [drawn.regions[index].mask for index in chosen]
    scene_N = torch.tensor([drawn.scene_of[index] for index in chosen])
    sparse, dense = torch.zeros(len(masks), 0, sam.config.width), sam.no_mask()
    if "point" in kind:
        points = torch.tensor(np.stack([_point_in(mask, rng) for mask in masks]), dtype=torch.float32)
        sparse = sam.embed_points(points.unsqueeze(1), torch.ones(len(masks), 1))
    if "box" in kind:
        sparse = sam.embed_boxes(torch.tensor(np.stack([_loose_box(mask, rng) for mask in masks]), dtype=torch.float32))
    if kind == "mask":  # with or without a filling of "not a point", as AttnPrompter may give it
        sparse = sam.no_point().expand(len(masks), int(rng.integers(0, 17)), -1)
    if "mask" in kind:
        coarse = torch.from_numpy(np.stack([_coarse_logits(mask, rng) for mask in masks])).unsqueeze(1)
        if fading:
            coarse = coarse * float(rng.uniform())
        side = sam.config.mask_side
        dense = sam.embed_masks(interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False).squeeze(1))
    logits, quality = sam.decode(image_BChw[scene_N], sparse, dense)
    return logits, quality, masks


def truth_on_grid(masks: Sequence[np.ndarray], side: int) -> Tensor:
    """Bool masks (S, S) -> shares of each cell covered (N, side, side)."""
    stacked = torch.from_numpy(np.stack(masks)).float().unsqueeze(1)
    return interpolate(stacked, size=(side, side), mode="area").squeeze(1)


def _rank_in_scene(scene_of: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """A random rank, from 0, of each region among those of its scene."""
    rank = np.empty(len(scene_of), dtype=np.int64)
    for scene in set(scene_of):
        members = np.flatnonzero(np.array(scene_of) == scene)
        rank[members] = rng.permutation(len(members))
    return rank


def _point_in(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    pick = rng.integers(len(rows))
    return np.array([columns[pick], rows[pick]], dtype=np.float32)


def _loose_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float32)
    reach = 0.1 * (np.tile(box[2:] - box[:2], 2) + 1)
    return box + rng.uniform(-1, 1, 4).astype(np.float32) * reach


def _coarse_logits(mask: np.ndarray, rng: np.random.Generator, cells: int = 16) -> np.ndarray:
    """A mask as a text-activated heat map would show it: on a coarse grid, of any contrast, with noise."""
    share = coverage(mask, cells)
    share = np.minimum(share / (0.7 * share.max()), 1)
    heat = rng.uniform(2, 10) * (share - rng.uniform(0.2, 0.6)) + rng.normal(0, rng.uniform(0, 1.5), share.shape)
    return heat.astype(np.float32)
