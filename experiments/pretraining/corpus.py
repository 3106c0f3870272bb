"""What the foundation models of `mini` learn from: drawn everyday scenes, made as they are needed, never seen twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.expressions.regions import Region
from benchmark.scenes.everyday.scene import draw_scene
from benchmark.scenes.sketch import Scene


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
