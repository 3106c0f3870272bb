"""Trainings of the tiny model by as many processes as this is started as; what they did, as JSON.

torchrun --standalone --nproc-per-node 2 -m tests.ranks DATA WEIGHTS OUT
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console

from benchmark.data.samples import load_dataset
from benchmark.evaluator import Share, evaluate
from benchmark.metrics.measure import Details
from experiments.ranks import Ranks
from experiments.repeatable import make_repeatable
from experiments.settings import ExperimentConfig
from experiments.training import loop
from models.rsrefseg import RSRefSeg
from models.tokens import TruncationWarning
from tests.experiments.training.test_loop import tiny_experiment
from tests.tiny import VARIANTS, tiny_config

CASES: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt")},
    "pairs": {"step_of": "pairs", "batch_size": 6, "expressions_per_image": None},
    "augmented": {"augment": ["flip", "turn", "colour", "scale"], "label_side": 32, "clip_norm": None},
}


def case(name: str) -> ExperimentConfig:
    """Without dropout, which each process draws for itself."""
    settings = {"batch_size": 4, "epochs": 2, "lr": 1e-3, **CASES[name]}
    config = tiny_experiment(**settings)
    difference = VARIANTS.get(name, {})
    if "lora" not in difference or difference["lora"] is not None:
        difference = {**difference, "lora": {**(difference.get("lora") or {}), "dropout": 0}}
    return config.model_copy(update={"model": tiny_config(difference)})


def train_all(data: Path, weights: Path, ranks: Ranks) -> dict[str, Any]:
    """By case: what the training saw, and what a model before it predicts."""
    dataset, found = load_dataset(data), {}
    for name in CASES:
        config = case(name)
        make_repeatable(config.seed, config.train.threads)
        model = RSRefSeg.from_foundation(config.model, weights)
        share = Share(ranks.rank, ranks.of, ranks.gather)
        measured = evaluate(model.eval(), dataset, "test", batch_images=2, details=Details((32,)), share=share)
        assert measured.sweep is not None
        run = loop.fit(model, dataset, config, Accelerator(cpu=True), Console(quiet=True))
        found[name] = {
            "losses": run.curve["loss"].dropna().tolist(),
            "val_miou": run.curve["val_miou"].dropna().tolist(),
            "statistics": {key: value.tolist() for key, value in run.state.items() if "running" in key},
            "tables": [table.to_csv() for table in (measured.lines, measured.masks, measured.sweep)],
        }
    return found


def main(data: Path, weights: Path, out: Path) -> None:
    """Write what train_all() found."""
    warnings.simplefilter("ignore", TruncationWarning)
    loop.LOG_EVERY = 1
    with Ranks() as ranks:
        found = train_all(data, weights, ranks)
        if ranks.first:
            out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
