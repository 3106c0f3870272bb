"""A prediction of E expressions an image: one encoding for all of them, against the plain way, one for each.

growth(): the time and the memory of a prediction, over expressions an image and over the image's side.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.data.loader import Batch
from benchmark.speed.reference import predict_pairs
from experiments.cost.estimate import memory_of_forward, shapes_of
from experiments.cost.random_weights import build, forward, make_batch
from experiments.repeatable import make_repeatable
from experiments.speed.inputs import configuration, counted, device, drawn, mini, plain_mini
from experiments.speed.limits import flops, share_of_matmul
from experiments.speed.pairs import Growth, Pair, in_turns, seconds
from experiments.training.loop import peak_memory_mb
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg

EXPRESSIONS = (1, 4, 16)  # an image
IMAGES, PAIRS, TURNS = 4, 16, 3  # of a batch of ours; of a batch of the plain way; times
PAPER, PAPER_EXPRESSIONS = "rsrefseg-b", 4
DENSE = (16, 50)  # images, and expressions of each: a batch of NWPU-Refer or Aerial-D
GROWING = (1, 2, 4, 8, 16, 32, 64)  # expressions an image
SIDES = (96, 192, 288, 384, 480)  # px: whole windows of mini's SAM


def measure() -> list[Pair]:
    """`mini`, and one image at the paper's size on random weights."""
    make_repeatable(0, configuration().train.threads)
    return [*_mini(), _paper()]


def _mini() -> list[Pair]:
    ours, plain = mini().to(device()).eval(), plain_mini().to(device()).eval()
    ours.merge_adapters()
    pairs = []
    for expressions in EXPRESSIONS:
        batch = drawn(IMAGES, expressions)
        quick, slow = partial(_ours, ours, batch), partial(_plainly, plain, batch, PAIRS)
        work = flops(quick)
        reference, took, ratio = in_turns(slow, quick, TURNS)
        share, limit = share_of_matmul(work, took)
        same = np.mean([np.mean(one == other) for one, other in zip(quick(), slow(), strict=True)])
        note = f"{same:.2%} of pixels are the same; they differ by how texts are padded"
        case = f"mini, {counted(expressions)} an image"
        pairs.append(Pair("prediction", case, reference, took, ratio, share, limit, None, peak_memory_mb(), note))
    return pairs


def _ours(model: RSRefSeg, batch: Batch) -> list[NDArray[np.bool_]]:
    return model.predict(batch.images, batch.texts, batch.image_index)


def _plainly(model: RSRefSeg, batch: Batch, size: int) -> list[NDArray[np.bool_]]:
    return predict_pairs(model, batch.images, batch.texts, batch.image_index, size)


def _paper() -> Pair:
    """One turn: a minute of two cores."""
    config = configuration(PAPER)
    torch.set_num_threads(config.train.threads)
    model = build(config.model).to(device()).eval()
    batch = make_batch(config.model.sam.image_side, 1, PAPER_EXPRESSIONS)
    forward(model, make_batch(config.model.sam.image_side, 1, 1))
    reference, took, ratio = in_turns(
        partial(_plainly, model, batch, 1), partial(_ours, model, batch), 1, warm_up=False
    )
    peak = peak_memory_mb()
    with shapes_of(config.model) as shapes:
        work = flops(partial(forward, shapes, make_batch(config.model.sam.image_side, 1, PAPER_EXPRESSIONS)))
    share, limit = share_of_matmul(work, took, torch.bfloat16)
    bounded, free = _dense_memory(config.model)
    images, each = DENSE
    note = (
        "1 image, one turn; attention and adapters are the same on both sides. Activations of "
        f"{images} images x {each} expressions, from shapes: {bounded:.1f} GB, without the bound {free:.1f} GB"
    )
    case = f"{PAPER}, {counted(PAPER_EXPRESSIONS)}, bfloat16"
    return Pair("prediction", case, reference, took, ratio, share, limit, None, peak, note)


def _dense_memory(config: ModelConfig) -> tuple[float, float]:
    """GB of activations of a prediction of DENSE, with and without the bound on expressions at once."""
    images, each = DENSE
    found = []
    for bounded in (True, False):
        with shapes_of(config) as model:
            if not bounded:
                model.at_once = images * each
            found.append(memory_of_forward(model, images, images * each).activations / 1e9)
    return found[0], found[1]


def growth() -> list[Growth]:
    """Over expressions an image, on one image; over the side of what both encoders see of it, with 4 expressions."""
    make_repeatable(0, configuration().train.threads)
    found = []
    model = mini().to(device()).eval()
    model.merge_adapters()
    for expressions in GROWING:
        found.append(_grown(model, drawn(1, expressions), "prediction, mini", "expressions an image", expressions))
    for side in SIDES:
        model = build(_of_side(configuration().model, side)).to(device()).eval()
        found.append(_grown(model, make_batch(side, 1, 4), "prediction, mini", "image side (px)", side))
    return found


def _of_side(config: ModelConfig, side: int) -> ModelConfig:
    """The model for images of another side."""
    sam = config.sam.model_copy(
        update={
            "vision": {**config.sam.vision, "image_size": side},
            "prompt_encoder": {**config.sam.prompt_encoder, "image_size": side},
        }
    )
    clip = config.clip.model_copy(update={"vision": {**config.clip.vision, "image_size": side}})
    return config.model_copy(update={"sam": sam, "clip": clip})


def _grown(model: RSRefSeg, batch: Batch, path: str, over: str, size: int) -> Growth:
    _ours(model, batch)
    took = statistics.median(seconds(partial(_ours, model, batch)) for _ in range(5))
    memory = memory_of_forward(model, len(batch.images), len(batch.texts)).activations / 2**20
    return Growth(path, over, size, took, memory, "memory: activations alone")
