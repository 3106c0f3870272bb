"""Trainings of the tiny models by as many processes as this is started as; what they did, as JSON.

torchrun --standalone --nproc-per-node 2 -m tests.ranks DATA WEIGHTS OUT
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from benchmark.data.samples import Dataset, load_dataset
from benchmark.evaluator import Share, evaluate
from benchmark.metrics.measure import Details
from experiments.ranks import Ranks
from experiments.repeatable import make_repeatable
from experiments.runs import TrainedRun
from experiments.settings import ExperimentConfig
from experiments.stopping import Stopped
from experiments.training import loop
from experiments.training.launched import make_accelerator
from experiments.training.state import Keeper
from experiments.training.step import TrainStep
from models.system import System
from models.systems import build, precision_of
from models.tokens import TruncationWarning
from tests.experiments.training.test_loop import tiny_experiment
from tests.experiments.training.test_state import META, Told
from tests.language_aware import lavt_config, plain_draws, rmsin_config
from tests.models.rsrefseg2.tiny import tiny2_config
from tests.tiny import VARIANTS, tiny_config

CASES: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt")},
    "pairs": {"step_of": "pairs", "batch_size": 6, "expressions_per_image": None},
    "parts": {"step_of": "pairs", "batch_size": 8, "expressions_per_image": None, "gradient_accumulation": 2},
    "augmented": {"augment": ["flip", "turn", "colour", "scale"], "label_side": 32, "clip_norm": None},
}
OTHERS: dict[str, Any] = {  # systems with nothing that is drawn, nor seen of batch-mates but by norms
    "lavt": lavt_config(**plain_draws()),
    "rmsin": rmsin_config(**plain_draws(), arc=False),  # ARC has a dropout of its own
    "rsrefseg2": tiny2_config({"sam": tiny_config().sam, "side_losses": {"contrast": 0}}),
}
CASES |= {name: {} for name in OTHERS}
SPLIT = {  # ZeRO trains systems of one group of parameters
    "FSDP": ("rsrefseg", "no_lora", "parts", "lavt", "rsrefseg2"),
    "DEEPSPEED": ("rsrefseg", "no_lora", "parts", "rsrefseg2"),
}


def case(name: str, *, dropout: float = 0, recomputed: bool = False) -> ExperimentConfig:
    """Without dropout, which each process draws for itself; `recomputed` changes no number."""
    settings = {"batch_size": 4, "epochs": 2, "lr": 1e-3, **CASES[name]}
    config = tiny_experiment(**settings)
    if name in OTHERS:
        return config.model_copy(update={"model": OTHERS[name]})
    difference = VARIANTS.get(name, {})
    if "lora" not in difference or difference["lora"] is not None:
        difference = {**difference, "lora": {**(difference.get("lora") or {}), "dropout": dropout}}
    if recomputed:
        difference = {**difference, "compute": {"gradient_checkpointing": ["clip_vision", "clip_text", "sam"]}}
    return config.model_copy(update={"model": tiny_config(difference)})


@dataclass(frozen=True)
class Trainings:
    """Of one dataset, on one foundation."""

    dataset: Dataset
    weights: Path
    ranks: Ranks

    def model(self, config: ExperimentConfig) -> System:
        make_repeatable(config.seed, config.train.threads)
        return build(config.model, self.weights)

    def fit(self, config: ExperimentConfig, keeper: Keeper | None = None) -> TrainedRun:
        """As the command does it."""
        model = self.model(config)
        make_repeatable(config.seed + self.ranks.rank, config.train.threads)
        accelerator = make_accelerator(precision_of(config.model))
        return loop.fit(model, self.dataset, config, accelerator, Console(quiet=True), keeper=keeper)

    def predicted(self, config: ExperimentConfig) -> list[str]:
        """The tables of an evaluation of the untrained model."""
        share = Share(self.ranks.rank, self.ranks.of, self.ranks.gather)
        model = self.model(config).eval()
        measured = evaluate(model, self.dataset, "test", batch_images=2, details=Details((32,)), share=share)
        assert measured.sweep is not None
        return [table.to_csv() for table in (measured.lines, measured.masks, measured.sweep)]

    def stopped(self, config: ExperimentConfig, folder: Path, after: int) -> TrainedRun | None:
        """One that is told to stop when it has looked so often, or goes on where such a one was."""
        about = {"point": "a/b/c/0", "config": config.plain(), "data": "d", "foundation": "f", "meta": META}
        try:
            return self.fit(config, Keeper(folder, about, 1e9, Told(after), Console(quiet=True)))
        except Stopped:
            return None


def seen(run: TrainedRun) -> dict[str, Any]:
    """What a training saw."""
    return {
        "losses": run.curve["loss"].dropna().tolist(),
        "val_miou": run.curve["val_miou"].dropna().tolist(),
        "statistics": {key: value.tolist() for key, value in run.state.items() if "running" in key},
        "norms": {key: value.float().norm().item() for key, value in run.state.items()},
    }


def train_all(trainings: Trainings) -> dict[str, Any]:
    """By case: what the training saw, and what a model before it predicts."""
    return {name: {**seen(trainings.fit(case(name))), "tables": trainings.predicted(case(name))} for name in CASES}


def train_split(trainings: Trainings, folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """By case what a training saw of which not only batches are split among the ranks; whether one that is stopped, at
    a step and in a validation, ends with the same bytes. One that was stopped is left for others to go on with."""
    found: dict[str, Any] = {name: seen(trainings.fit(case(name, recomputed=True))) for name in names}
    drawing = case("rsrefseg", dropout=0.1)  # every step draws random numbers
    whole = trainings.fit(drawing)
    for after in (1, 3):
        assert trainings.stopped(drawing, folder / "drawing", after) is None
    again = trainings.stopped(drawing, folder / "drawing", 0)
    assert again is not None
    same = all(torch.equal(again.state[name], value) for name, value in whole.state.items())
    assert trainings.stopped(case("rsrefseg"), folder / "plain", 3) is None
    split_layers = {}
    for name in [name for name in ("lavt", "rsrefseg") if name in names]:
        model = trainings.model(case(name))
        step = TrainStep(model, case(name).train, 1, make_accelerator("float32"))
        split_layers[name] = sum(isinstance(module, FSDPModule) for module in model.modules())
    weights, learnt = list(model.parameters()), step.optimizer.param_groups[0]["params"]
    about = {
        "same": same and again.curve.equals(whole.curve),
        "weights_here": held_here(weights) / sum(value.numel() for value in weights),
        "learnt_here": held_here(learnt) / sum(value.numel() for value in step.trained),
        "split_layers": split_layers,
    }
    return {"about": about, **found}


def held_here(values: Iterable[torch.Tensor]) -> int:
    """How many numbers this process holds of them."""
    return sum((value.to_local() if isinstance(value, DTensor) else value).numel() for value in values)


def main(data: Path, weights: Path, out: Path) -> None:
    """Write what train_all() or train_split() found."""
    warnings.simplefilter("ignore", TruncationWarning)
    loop.LOG_EVERY = 1
    with Ranks() as ranks:
        trainings = Trainings(load_dataset(data), weights, ranks)
        way = str(make_accelerator("float32").distributed_type.value)
        names = SPLIT.get(way)
        found = train_all(trainings) if names is None else train_split(trainings, out.with_suffix(""), names)
        if ranks.first:
            out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
