"""What a command imports when it runs: nothing heavy that it does not use. Until then it has its options alone, which
tests/test_architecture.py holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = {"torch", "transformers", "tokenizers", "accelerate", "torchvision"}
MLFLOW, FIGURES = {"mlflow", "sqlalchemy"}, {"matplotlib", "seaborn"}
OTHERS = {
    "peft",
    "segment_anything",
    "gradio",
    "rasterio",
    "geopandas",
    "pyogrio",
    "shapely",
    "dvc",
    "alembic",
    "sklearn",
}
# one process each: modules in the order in which it imports them, and what is still not there after each
PROCESSES = {
    "without torch": [
        ("experiments.commands.check", {*TORCH, *MLFLOW, *FIGURES, *OTHERS, "gdown", "huggingface_hub", "submitit"}),
        ("experiments.commands.launch", {*TORCH, *MLFLOW, *FIGURES, *OTHERS, "gdown", "huggingface_hub"}),
        ("experiments.commands.audit", {*TORCH, *MLFLOW, *FIGURES, *OTHERS}),
        ("experiments.commands.fetch", {*TORCH, *MLFLOW, *FIGURES, *OTHERS}),
        ("experiments.commands.score", {*TORCH, *MLFLOW, *FIGURES, *OTHERS}),
        ("experiments.commands.verify", {*TORCH, *MLFLOW, *FIGURES, *OTHERS}),
        ("experiments.commands.collect", {*TORCH, *FIGURES, *OTHERS}),
        ("reports.writing", {*TORCH, *OTHERS}),
    ],
    "with torch": [
        ("experiments.commands.train", {*MLFLOW, *FIGURES, *OTHERS, "gdown"}),
        ("experiments.commands.evaluate", {*MLFLOW, *FIGURES, *OTHERS, "gdown"}),
        ("experiments.commands.cases", {*MLFLOW, *FIGURES, *OTHERS, "gdown"}),
        ("experiments.commands.publish", {*MLFLOW, *FIGURES, *OTHERS, "gdown"}),
        ("experiments.commands.predict", {*MLFLOW, *FIGURES, *OTHERS, "gdown"}),
    ],
}


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_command_imports_nothing_heavy_that_it_does_not_use(kind: str) -> None:
    code = f"""
import importlib, sys
for name, heavy in {PROCESSES[kind]!r}:
    importlib.import_module(name)
    if found := sorted(heavy & sys.modules.keys()):
        sys.exit(f"{{name}} imports {{', '.join(found)}}")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
