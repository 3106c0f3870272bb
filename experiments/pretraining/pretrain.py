"""How the foundation models of `mini` learn: on drawn everyday scenes, made as they are needed and never seen twice.

CLIP learns, patch by patch, which phrases hold there: a sigmoid image-text loss (SigLIP's) in which the "images" are
the patches of whole scenes. Trained on crops instead, its patches align badly inside a scene.
SAM learns to cut out what a point, a box or a coarse mask says, each in its own steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate, normalize

from benchmark.expressions.writer import Region, write_expressions
from benchmark.scenes.everyday.scene import draw_scene
from benchmark.scenes.sketch import Scene
from experiments.config import Recipe
from experiments.training.losses import dice_loss
from models.clip import Clip
from models.sam import Sam


@dataclass(frozen=True)
class Drawn:
    """One batch of scenes: images (uint8 CHW) and every region with the index of its scene."""

    images: list[Tensor]
    scenes: list[Scene]
    regions: list[Region]
    scene_of: list[int]


def draw_batch(seed: Sequence[int], count: int, side: int) -> Drawn:
    """`count` scenes that depend on `seed` alone."""
    scenes = [draw_scene(np.random.default_rng([*seed, index]), side) for index in range(count)]
    return Drawn(
        images=[torch.from_numpy(scene.image).permute(2, 0, 1).contiguous() for scene in scenes],
        scenes=scenes,
        regions=[region for scene in scenes for region in scene.regions],
        scene_of=[index for index, scene in enumerate(scenes) for _ in scene.regions],
    )


def coverage(mask: np.ndarray, cells: int) -> np.ndarray:
    """Share of each cell that a mask (S, S) covers -> (cells, cells) in [0, 1]; `cells` divides S."""
    size = mask.shape[0] // cells
    return mask.reshape(cells, size, cells, size).mean(axis=(1, 3), dtype=np.float32)


# ---------------------------------------------------------------------------------------------------------------- CLIP


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


# ----------------------------------------------------------------------------------------------------------------- SAM

PROMPTS = ("point", "box", "mask", "mask and point")


def sam_loss(sam: Sam, seed: Sequence[int], batch_scenes: int, most_prompts: int = 6) -> Tensor:
    """BCE and dice of the masks that one kind of prompt gives, and the error of the decoder's own IoU estimate."""
    drawn = draw_batch(seed, batch_scenes, sam.config.image_side)
    rng = np.random.default_rng([*seed, batch_scenes])
    chosen = np.flatnonzero(_rank_in_scene(drawn.scene_of, rng) < most_prompts)
    kind = PROMPTS[rng.choice(len(PROMPTS), p=(0.35, 0.15, 0.3, 0.2))]
    logits, quality, truth = prompted(sam, sam.encode(drawn.images), drawn, chosen, kind, rng)
    target = truth_on_grid(truth, logits.shape[-1])
    with torch.no_grad():
        inside, hit = logits > 0, target > 0.5
        iou = (inside & hit).sum((1, 2)) / (inside | hit).sum((1, 2)).clamp(min=1)
    return 5 * bce(logits, target) + dice_loss(logits, target) + torch.square(quality - iou).mean()


def prompted(
    sam: Sam, image_BChw: Tensor, drawn: Drawn, chosen: Sequence[int] | np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[Tensor, Tensor, list[np.ndarray]]:
    """Decode the chosen regions of a batch from one kind of prompt -> logits (N, 4h, 4w), quality (N,), true masks."""
    masks = [drawn.regions[index].mask for index in chosen]
    scene_N = torch.tensor([drawn.scene_of[index] for index in chosen])
    sparse, dense = torch.zeros(len(masks), 0, sam.config.width), sam.no_mask()
    if "point" in kind:
        points = torch.tensor(np.stack([_point_in(mask, rng) for mask in masks]), dtype=torch.float32)
        sparse = sam.embed_points(points.unsqueeze(1), torch.ones(len(masks), 1))
    if "box" in kind:
        sparse = sam.embed_boxes(torch.tensor(np.stack([_loose_box(mask, rng) for mask in masks]), dtype=torch.float32))
    if "mask" in kind:
        coarse = torch.from_numpy(np.stack([_coarse_logits(mask, rng) for mask in masks])).unsqueeze(1)
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


# ----------------------------------------------------------------------------------------------------------- optimiser


def train(
    model: torch.nn.Module, recipe: Recipe, loss_of: Callable[[Sequence[int], int], Tensor], title: str
) -> Iterator[tuple[int, float]]:
    """AdamW, 5 % linear warm-up, cosine to a hundredth. Yields (step, mean loss) every 50 steps.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(recipe.seed)
    scalars = [p for p in model.parameters() if p.requires_grad and p.numel() == 1]  # CLIP's scale and bias
    others = [p for p in model.parameters() if p.requires_grad and p.numel() > 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "lr": recipe.lr, "weight_decay": recipe.weight_decay},
            {"params": scalars, "lr": 10 * recipe.lr, "weight_decay": 0.0},
        ]
    )
    warm = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / recipe.steps))))
        ),
    )
    model.train()
    recent: list[float] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=recipe.steps)
        for step in range(1, recipe.steps + 1):
            loss = loss_of((recipe.seed, step), recipe.batch_scenes)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"{title}: the loss is {loss.item()} at step {step}; lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            recent.append(loss.item())
            progress.update(task, advance=1, description=f"{title}  step {step}/{recipe.steps}  loss {recent[-1]:.3f}")
            if step % 50 == 0 or step == recipe.steps:
                yield step, sum(recent) / len(recent)
                recent.clear()
    model.eval()
