"""Dataset `synthetic`: aerial scenes drawn from a seed, the default that needs no download.

Eighteen of RRSIS-D's categories on land, water, fields and roads. A scene depends on (seed, split, index) only, so a
larger dataset holds the smaller one's scenes, and no scene is in two splits.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pydantic import Field

from benchmark.data.samples import SPLITS
from benchmark.datasets.assemble import NamedScene, write_scenes
from benchmark.datasets.spec import DatasetConfig, Spec
from benchmark.scenes.aerial.layouts import draw_place
from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.sketch import Scene

FEWEST = 3  # objects of a scene
AHEAD = 64  # scenes that are drawn before they are asked for; fewer in all are not worth other processes
IGNORE_CTRL_C = (signal.SIGINT, signal.SIG_IGN)  # in those that draw: the one that asked them stops them

SPEC = Spec(
    name="synthetic",
    title="Synthetic aerial scenes",
    source="drawn by benchmark/datasets/synthetic.py",
    licence="CC0-1.0",
    citation="Synthetic aerial scenes, drawn from a seed with this repository",
    how="there is nothing to get",
    categories=tuple(KINDS),
)


class SyntheticConfig(DatasetConfig):
    """How many scenes are drawn for each split, how large, and how many sentences are kept of each."""

    train: int = Field(default=1200, ge=1)  # scenes
    val: int = Field(default=100, ge=1)
    test: int = Field(default=150, ge=1)
    side: int = Field(default=256, ge=64)  # pixels
    per_region: int = Field(default=2, ge=1)  # expressions, at most
    per_image: int = Field(default=4, ge=1)
    multiple: int = Field(default=0, ge=0)  # expressions of several objects, an image at most
    absent: int = Field(default=0, ge=0)  # no-target expressions, an image at most
    seed: int = Field(default=0, ge=0)


def draw_scene(rng: np.random.Generator, side: int = 256) -> Scene:
    """One aerial scene of side x side pixels with 3 to 12 objects; masks are disjoint."""
    while True:
        scene = draw_place(rng, side)
        if sum(region.target for region in scene.regions) >= FEWEST:
            return scene


def scenes(config: SyntheticConfig) -> Iterator[NamedScene]:
    """All scenes of the dataset, one at a time, split by split; drawn on all processors."""
    wanted = [
        (config.seed, number, split, index, config.side)
        for number, split in enumerate(SPLITS)
        for index in range(getattr(config, split))
    ]
    if len(wanted) < AHEAD:
        yield from map(_draw, wanted)
        return
    with ProcessPoolExecutor(os.cpu_count(), initializer=signal.signal, initargs=IGNORE_CTRL_C) as pool:
        waiting: deque[Future[NamedScene]] = deque()
        for one in wanted:
            waiting.append(pool.submit(_draw, one))
            if len(waiting) > AHEAD:  # a whole dataset of them would not fit memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _draw(wanted: tuple[int, int, str, int, int]) -> NamedScene:
    seed, number, split, index, side = wanted
    return NamedScene(f"{split}_{index:05d}", split, draw_scene(np.random.default_rng([seed, number, index]), side))


def build(folder: Path, config: SyntheticConfig) -> None:
    """Draw the dataset into the folder, replacing what is there when all is done."""
    write_scenes(
        folder,
        scenes(config),
        name=SPEC.name,
        source=SPEC.source,
        licence=SPEC.licence,
        citation=SPEC.citation,
        seed=config.seed,
        per_region=config.per_region,
        per_image=config.per_image,
        multiple=config.multiple,
        absent=config.absent,
        vocabulary=SPEC.categories,
    )
