"""Frozen encoders asked once (experiments/frozen/), against encoders that compute in every epoch."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmark.data.samples import load_dataset
from benchmark.datasets.synthetic import SyntheticConfig, build
from benchmark.output.terminal import say, terminal
from experiments.config import load_params, resolve
from experiments.cost import random_weights
from experiments.foundations import foundation_hashes
from experiments.frozen.attach import KEPT_AS, TEXT_MEMORY, recall_images, recall_in_training
from experiments.frozen.recall import AskedOnce, TextMemory
from experiments.repeatable import make_repeatable
from experiments.settings import FeaturesConfig, Params
from experiments.speed.pairs import Pair, in_turns
from experiments.training.launched import make_accelerator
from experiments.training.loop import fit
from models.pixels import Recall
from models.rsrefseg import RSRefSeg
from models.weights.files import foundation_files

SCENES = SyntheticConfig(train=38, val=4, test=1)  # a twentieth of `synthetic`
QUIET = terminal()
QUIET.quiet = True
MINI, PAPER = "mini", "rsrefseg-b"
WHY_NOT_MORE = (
    "frozen encoders take half of mini's step; the other half is AttnPrompter, SAM's decoder, their backward pass and "
    "the loss, which no epoch can leave out: about 2 is the most"
)


def measure() -> list[Pair]:
    """Both sizes, with the encoders of `no_lora`."""
    params, threads, ordered = load_params(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [_epoch(params, Path(folder)), _image(params, Path(folder))]
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(ordered)


def _epoch(params: Params, folder: Path) -> Pair:
    """An epoch of `mini` with its validation, as a training makes it."""
    config = resolve(params, "synthetic", MINI, "no_lora", seed=0)
    config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})})
    build(folder / "synthetic", SCENES)
    dataset, weights = load_dataset(folder / "synthetic"), Path("weights") / MINI
    make_repeatable(0, config.train.threads)
    accelerator, keep = make_accelerator(config.model.compute.precision), FeaturesConfig(gigabytes=1)
    plain, ours = (RSRefSeg.from_foundation(config.model, weights).to(accelerator.device) for _ in range(2))
    foundation = foundation_hashes(foundation_files(weights))
    recall_in_training(ours, config, foundation, dataset, keep, QUIET, sharded=False, folder=folder / MINI)
    epoch = partial(fit, dataset=dataset, config=config, accelerator=accelerator, console=QUIET)
    workers = params.loader.workers
    reference, seconds, ratio = in_turns(
        partial(epoch, plain, workers=workers), partial(epoch, ours, workers=workers), turns=3
    )
    case = f"no_lora, {MINI}, an epoch from the second on"
    return Pair("training", case, reference, seconds, ratio, goal=5, note=WHY_NOT_MORE)


def _image(params: Params, folder: Path) -> Pair:
    """Mask logits of one image and one expression, on random weights, on one thread: what is left of it is too short to
    be shared out."""
    anywhere = params.model_copy(update={"datasets": {"": {}}})
    config = resolve(anywhere, "", PAPER, "no_lora", seed=0)
    make_repeatable(0, 1)
    accelerator = make_accelerator(config.model.compute.precision)
    model = random_weights.build(config.model).eval().to(accelerator.device)
    batch = random_weights.make_batch(config.model.sam.image_side, 1, 1)
    plain = model.clip.recall, model.clip.recall_texts, model.sam.recall
    weights = {"clip": "random", "sam": "random"}
    keep, tell = FeaturesConfig(gigabytes=1), partial(say, QUIET)
    recall_images(model, ("clip", "sam"), config.model, weights, 1, keep, tell, folder / PAPER)
    model.clip.recall_texts = AskedOnce(KEPT_AS[config.model.compute.precision], TextMemory(TEXT_MEMORY))
    recalling = model.clip.recall, model.clip.recall_texts, model.sam.recall

    def forward(ways: tuple[Recall, Recall | None, Recall]) -> None:
        model.clip.recall, model.clip.recall_texts, model.sam.recall = ways
        random_weights.forward(model, batch)

    reference, seconds, ratio = in_turns(partial(forward, plain), partial(forward, recalling), turns=2)
    return Pair("training", f"no_lora, shape of {PAPER}, one image", reference, seconds, ratio, goal=50)
