"""What the small foundation models learn from: drawn everyday scenes, each made when it is first needed and then
kept, for drawing one takes as long as learning from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.expressions.regions import Region
from benchmark.expressions.writer import Expression, write_expressions
from benchmark.scenes.everyday.scene import draw_scene
from experiments.foundation_settings import Recipe

NONE = -100  # a target that cross_entropy passes over


@dataclass(frozen=True)
class Drawn:
    """One batch of scenes: images (uint8 CHW), expressions of each, and every region with the index of its scene."""

    images: list[Tensor]
    expressions: list[list[Expression]]
    regions: list[Region]
    scene_of: list[int]


def draw_batch(seed: Sequence[int], count: int, side: int) -> Drawn:
    """`count` scenes that depend on `seed` alone."""
    return _together([_draw((*seed, index), side) for index in range(count)])


def pick_batch(seed: Sequence[int], recipe: Recipe, side: int) -> Drawn:
    """A batch of the scenes to learn from, chosen by `seed`, whose last number is the step: plain ones at first."""
    chosen = np.random.default_rng(seed).integers(recipe.scenes, size=recipe.batch_scenes).tolist()
    return _together([_kept(recipe.seed, index, side, seed[-1] <= recipe.plain_steps) for index in chosen])


class _Packed(NamedTuple):
    """A scene in little memory: which region each pixel is of (uint8, 0: none), and what each region is."""

    image: np.ndarray
    number: np.ndarray
    said: list[tuple[str, str | None, bool]]
    expressions: list[Expression]


def _draw(seed: Sequence[int], side: int, plain: bool = False) -> _Packed:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, side, plain)
    number = np.zeros((side, side), np.uint8)
    for place, region in enumerate(scene.regions, start=1):
        number[region.mask] = place
    said = [(region.category, region.colour, region.target) for region in scene.regions]
    return _Packed(scene.image, number, said, write_expressions(scene.regions, rng, per_region=3))


@cache
def _kept(seed: int, index: int, side: int, plain: bool) -> _Packed:
    return _draw((seed, index), side, plain)


def _together(scenes: Sequence[_Packed]) -> Drawn:
    return Drawn(
        images=[torch.from_numpy(scene.image).permute(2, 0, 1).contiguous() for scene in scenes],
        expressions=[scene.expressions for scene in scenes],
        regions=[
            Region(scene.number == place, *words) for scene in scenes for place, words in enumerate(scene.said, start=1)
        ],
        scene_of=[index for index, scene in enumerate(scenes) for _ in scene.said],
    )


def coverage(mask: np.ndarray, cells: int) -> np.ndarray:
    """Share of each cell that a mask (S, S) covers -> (cells, cells) in [0, 1]; `cells` divides S."""
    size = mask.shape[0] // cells
    return mask.reshape(cells, size, cells, size).mean(axis=(1, 3), dtype=np.float32)


def cell_owner(drawn: Drawn, cells: int) -> np.ndarray:
    """For each cell of each scene (B, cells, cells): the region that owns it, -1 background, -2 half-covered."""
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
