"""SAM's image encoder and the whole model, against the released code's way of running them.

That way: transformers' plain attention, and an image encoded again for each of its expressions, which is RSRefSeg given
one image with one expression at a time. Ours: as configured, all of them at once. Weights are random.

On a GPU at the size of `rsrefseg-b`, where the goals are; with what else `compute` offers there beside what is
configured. On a CPU, which takes minutes for that: one layer of each kind of SAM ViT-B at 1024 px, and all of `mini`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from benchmark.data.loader import Batch
from experiments.commands.inspect import chosen, with_compute
from experiments.config import load_params
from experiments.cost.random_weights import build, make_batch
from experiments.settings import ExperimentConfig
from experiments.speed.limits import matmul_rate
from experiments.speed.pairs import Pair, in_turns
from experiments.training.loop import peak_memory_mb
from experiments.training.step import TrainStep
from models.config import SamConfig
from models.rsrefseg import RSRefSeg
from models.sam import Sam

PATH = "SAM's image encoder"
TRAIN_GOAL, PREDICT_GOAL = 3.0, 2.0  # of rsrefseg-b on an H100, never measured on one
NO_GPU = "rsrefseg-b itself needs a GPU"
WIDENED = "widened is for a GPU: off unless configured"


def measure() -> list[Pair]:
    """All of it on a GPU; without one, SAM's layers on the CPU."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    params = load_params()
    paper = chosen(params, None, "rsrefseg-b", "rsrefseg")
    if device.type == "cuda":
        return [
            *encoder_pairs(paper.model.sam, device, images=8, turns=10),
            *model_pairs("rsrefseg-b", paper, device, 4, 4, turns=5, goals=(TRAIN_GOAL, PREDICT_GOAL)),
            widened_step("rsrefseg-b", paper, device, images=8, turns=5),
        ]
    return layer_pairs(paper.model.sam, turns=3)


def layer_pairs(config: SamConfig, turns: int) -> list[Pair]:
    """The forward pass of one layer over the whole map and of one in windows, one image, float32, on the CPU."""
    two = {**config.vision, "num_hidden_layers": 2, "global_attn_indexes": [0]}
    reduced = config.model_copy(update={"vision": two})
    plain, fused, widened = (
        Sam(reduced, attention).eval().requires_grad_(False).model.vision_encoder.layers
        for attention in ("eager", "sdpa", "widened")
    )
    rate = matmul_rate()
    tokens = torch.randn(1, config.grid, config.grid, int(config.vision["hidden_size"]))
    pairs = []
    for place, kind in enumerate(("a global layer", "a layer of windows")):
        useful = flops(plain[place], tokens)
        for case, reference, ours, note in (
            ("eager against sdpa", plain[place], fused[place], NO_GPU),
            ("sdpa against widened", fused[place], widened[place], WIDENED),
        ):
            found = in_turns(partial(reference, tokens), partial(ours, tokens), turns)
            pairs.append(_pair(f"{kind}, {case}", found, useful, rate, note=note))
    return pairs


def encoder_pairs(config: SamConfig, device: torch.device, images: int, turns: int) -> list[Pair]:
    """The forward pass of the whole encoder in bfloat16: plain attention image by image against sdpa at once; sdpa
    against widened; and that against the same with its layers compiled."""
    rate = matmul_rate(torch.bfloat16)
    pixels = torch.randn(images, 3, config.image_side, config.image_side, device=device)
    encoders = {
        name: Sam(config, name.partition(" ")[0]).eval().requires_grad_(False).model.vision_encoder.to(device)
        for name in ("eager", "sdpa", "widened", "widened compiled")
    }
    for layer in encoders["widened compiled"].layers:
        layer.compile()
    useful = images * flops(encoders["eager"], pixels[:1])

    def run(name: str) -> Callable[[], None]:
        def forward() -> None:
            for part in pixels.split(1) if name == "eager" else (pixels,):
                encoders[name](part)

        return forward

    pairs = []
    for reference, ours in pairwise(encoders):
        with _bfloat16(device):
            found = in_turns(run(reference), run(ours), turns)
        pairs.append(_pair(f"{images} images, {reference} against {ours}", found, useful, rate))
    return pairs


def model_pairs(
    name: str,
    config: ExperimentConfig,
    device: torch.device,
    images: int,
    each: int,
    turns: int,
    goals: tuple[float, float] | None = None,
) -> list[Pair]:
    """A training step and a prediction of RSRefSeg, `each` expressions an image; predictions with adapters merged,
    which the released code does not do. goals: of both."""
    model = build(config.model).to(device)
    plain = build(with_compute(config.model, attention="eager", compile=False)).to(device)
    batch = make_batch(config.model.sam.image_side, images, images * each)
    alone = [_one(batch, number) for number in range(len(batch.texts))]
    step, plain_step = _step(model, config), _step(plain, config)

    def learn_one_by_one() -> None:
        for number, part in enumerate(alone):
            loss = plain_step.loss(part, len(alone))
            plain_step.update(loss, first=number == 0, last=number == len(alone) - 1)

    def predict_one_by_one() -> None:
        for part in alone:
            plain.predict(part.images, part.texts, part.image_index)

    train_goal, predict_goal = goals or (None, None)
    case = f"{name}, {images} images with {each} expressions"
    trained = in_turns(learn_one_by_one, lambda: step.update(step.loss(batch)), turns)
    model.eval().merge_adapters()
    plain.eval()
    predicted = in_turns(predict_one_by_one, lambda: model.predict(batch.images, batch.texts, batch.image_index), turns)
    return [
        Pair("training", case, *trained, goal=train_goal, peak_mb=peak_memory_mb()),
        Pair("prediction", case, *predicted, goal=predict_goal, peak_mb=peak_memory_mb()),
    ]


def widened_step(name: str, config: ExperimentConfig, device: torch.device, images: int, turns: int) -> Pair:
    """A training step of pairs with `attention: sdpa` against one with `attention: widened`."""
    batch = make_batch(config.model.sam.image_side, images, images)
    plain, ours = (
        _step(build(with_compute(config.model, attention=attention)).to(device), config)
        for attention in ("sdpa", "widened")
    )
    found = in_turns(lambda: plain.update(plain.loss(batch)), lambda: ours.update(ours.loss(batch)), turns)
    case = f"{name}, {images} pairs, sdpa against widened"
    return Pair("training", case, *found, peak_mb=peak_memory_mb(), note=WIDENED)


def flops(module: nn.Module, given: Tensor) -> int:
    """Of a forward pass, a multiply-add counted as 2; found from shapes. Of plain attention: what is needed, not what a
    way of doing it adds."""
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(given.shape, device=given.device))
    return counter.get_total_flops()


def _pair(case: str, found: tuple[float, float, float], useful: int, rate: float, **more: Any) -> Pair:
    share = useful / found[1] / rate
    return Pair(PATH, case, *found, share=share, limit="a matrix product", peak_mb=peak_memory_mb(), **more)


def _step(model: RSRefSeg, config: ExperimentConfig) -> TrainStep:
    return TrainStep(model.train(), config.train, 1, Accelerator())


def _one(batch: Batch, number: int) -> Batch:
    """One expression of a batch with its image."""
    return Batch(
        images=[batch.images[batch.image_index[number]]],
        texts=[batch.texts[number]],
        image_index=[0],
        masks=[batch.masks[number]],
        sample_ids=[batch.sample_ids[number]],
        image_ids=[batch.image_ids[number]],
        categories=[batch.categories[number]],
    )


def _bfloat16(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16)
