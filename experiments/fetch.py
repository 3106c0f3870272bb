"""Bring a dataset into the one table of samples.

    python -m experiments.fetch --dataset synthetic

Writes data/<dataset>/ (samples.parquet, manifest.json, images/) and results/<dataset>/examples.parquet: a few test
samples with their images, chosen by a rule before any model sees them, which every run's predictions are shown on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import print

from benchmark.datasets import DATASETS
from benchmark.samples import load_dataset, save_examples
from experiments.config import dataset_config, load_params
from experiments.errors import clear_errors


def main(dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")]) -> None:
    """Build one dataset."""
    with clear_errors():
        config = dataset_config(load_params(), dataset)
        folder = Path("data") / dataset
        DATASETS[dataset].build(folder, config)
        built = load_dataset(folder)
        save_examples(Path("results") / dataset / "examples.parquet", built)
        counts = ", ".join(f"{split} {count['samples']}" for split, count in built.manifest.counts.items())
        print(f"{dataset}: {counts} samples -> {folder}")


if __name__ == "__main__":
    typer.run(main)
