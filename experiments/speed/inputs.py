"""What is measured with: `mini` on its committed weights, as params.yaml has it, and drawn scenes with sentences."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmark.data.loader import Batch
from benchmark.datasets.synthetic import draw_scene
from benchmark.expressions.writer import write_expressions
from benchmark.speed.reference import PaddedPerBatch
from experiments.config import load_params, resolve
from experiments.settings import ExperimentConfig
from models.rsrefseg import RSRefSeg

WEIGHTS = Path("weights")


def configuration(model: str = "mini") -> ExperimentConfig:
    """A run of the full model as params.yaml gives it."""
    return resolve(load_params(), "synthetic", model, "rsrefseg", 0)


def device() -> torch.device:
    """Where it is measured: on the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mini() -> RSRefSeg:
    """As it is before training."""
    return RSRefSeg.from_foundation(configuration().model, WEIGHTS / "mini")


def plain_mini() -> RSRefSeg:
    """The same with eager attention, its texts padded per batch."""
    config = configuration().model
    compute = config.compute.model_copy(update={"attention": "eager"})
    model = RSRefSeg.from_foundation(config.model_copy(update={"compute": compute}), WEIGHTS / "mini")
    model.clip.tokens = PaddedPerBatch(model.clip.tokens)  # type: ignore[assignment]
    return model


def counted(expressions: int) -> str:
    """For a case: "1 expression", "4 expressions"."""
    return f"{expressions} expression{'s' * (expressions != 1)}"


def drawn(images: int, expressions: int, side: int = 256) -> Batch:
    """So many drawn scenes of side x side, each with so many of its sentences; with few of them, some again."""
    batch = Batch([], [], [], [], [], [], [])
    for place in range(images):
        rng = np.random.default_rng([0, place])
        scene = draw_scene(rng, side)
        while not (written := write_expressions(scene.regions, rng)):
            scene = draw_scene(rng, side)
        batch.images.append(torch.from_numpy(scene.image).permute(2, 0, 1).contiguous())
        again = (written[number % len(written)] for number in range(expressions))
        for number, one in enumerate(islice(again, expressions)):
            batch.texts.append(one.text)
            batch.image_index.append(place)
            batch.masks.append(scene.regions[one.region].mask)
            batch.sample_ids.append(f"{place}_{number}")
            batch.image_ids.append(str(place))
            batch.categories.append(None)
    return batch
