"""A project with one trained run of the tiny model and its result: what predicts, publishes and serves reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.data.samples import load_dataset
from benchmark.results.schema import Training
from benchmark.results.store import CURVE_COLUMNS, data_of
from experiments.config import load_params
from experiments.foundations import foundation_hashes
from experiments.runs import TrainedRun, load_model, save_run
from experiments.settings import ExperimentConfig
from models.weights.files import foundation_files
from tests.tiny import tiny_config, tiny_model, write_foundation

ROOT = Path(__file__).parents[1]
POINT = Path("fake_scenes/tiny/rsrefseg/0")
RESULT, RUN = Path("results") / POINT, Path("runs") / POINT
CONFIG = ExperimentConfig(
    dataset="fake_scenes",
    model_name="tiny",
    variant="rsrefseg",
    seed=0,
    model=tiny_config(),
    train=load_params(ROOT / "params.yaml").train,
)
TRAINING = Training(
    epochs=1, steps=1, seconds=1, selection_metric="miou", selection_split="val", best_epoch=1, best_value=0.3,
    parameters_total=10, parameters_trained=5, peak_memory_mb=1,
)  # fmt: skip


def make_trained_project(folder: Path, fake_place: Callable[..., Path]) -> Path:
    """Foundation weights, one trained run and its result in a folder."""
    project = fake_place(folder)
    weights = write_foundation(project / "weights" / "tiny")
    curve = pd.DataFrame([(1, 1, 0.5, 1e-3, 0.3, "no")], columns=list(CURVE_COLUMNS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        save_run(
            TrainedRun(CONFIG, tiny_model(weights).trained_state(), curve, TRAINING),
            foundation_hashes(foundation_files(weights)),
            "d" * 64,
        )
        _, fingerprint = load_model(CONFIG, weights)
    file = project / RESULT / "result.json"
    result = json.loads(file.read_text())
    result["run"]["fingerprint"] = fingerprint
    result["data"] = data_of(load_dataset(project / "data" / "fake_scenes")).model_dump(mode="json")
    file.write_text(json.dumps(result))
    return project


def picture(width: int = 90, height: int = 51, mode: str = "RGB") -> Image.Image:
    """A picture of a few coloured fields."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST).convert(mode)
