"""The systems of size `mini` against RSRefSeg's, `mini`: a training step and a prediction, each as params.yaml has it.

Reference is RSRefSeg here, not a plain way, and a ratio below 1 says that the system is slower. Cases are models, by
which the table of systems finds what they cost (reports/load.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from accelerate import Accelerator

from benchmark.data.loader import Batch
from experiments.config import load_params, resolve, variants_of
from experiments.foundations import weights_folder
from experiments.repeatable import make_repeatable
from experiments.settings import ExperimentConfig
from experiments.speed.inputs import configuration, drawn
from experiments.speed.pairs import Pair, in_turns
from experiments.training.loop import peak_memory_mb
from experiments.training.step import TrainStep
from models.system import System
from models.systems import build

MODELS = ("rsrefseg2-mini", "lavt-mini", "rmsin-mini")
IMAGES, EXPRESSIONS = 4, 5  # of a step, and of a prediction
TURNS = 5
NOTE = f"reference: mini; {IMAGES} images x {EXPRESSIONS} expressions at once"


def measure() -> list[Pair]:
    """Seconds of a step, and of an image with its expressions."""
    params, reference = load_params(), configuration()
    make_repeatable(0, reference.train.threads)
    batch = drawn(IMAGES, EXPRESSIONS)
    shown = batch.images, batch.texts, batch.image_index
    pairs = []
    for model in MODELS:
        config = resolve(params, "synthetic", model, variants_of(params, model)[0], 0)
        plain, took, ratio = in_turns(_step(reference, batch), _step(config, batch), TURNS)
        pairs.append(Pair("systems, a training step", model, plain, took, ratio, peak_mb=peak_memory_mb(), note=NOTE))
        theirs, ours = (_built(one).eval() for one in (reference, config))
        theirs.merge_adapters()
        ours.merge_adapters()
        plain, took, ratio = in_turns(partial(theirs.predict, *shown), partial(ours.predict, *shown), TURNS)
        each = plain / IMAGES, took / IMAGES
        pairs.append(Pair("systems, an image predicted", model, *each, ratio, peak_mb=peak_memory_mb(), note=NOTE))
    return pairs


def _built(config: ExperimentConfig) -> System:
    return build(config.model, weights_folder(config.model_name)).to(Accelerator().device)


def _step(config: ExperimentConfig, batch: Batch) -> Callable[[], None]:
    step = TrainStep(_built(config).train(), config.train, 1, Accelerator())
    return lambda: step.update(step.loss(batch))
