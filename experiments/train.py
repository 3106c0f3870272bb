"""Fine-tune one variant and keep its best epoch, or its last (`train.select`).

    python -m experiments.train --dataset synthetic --model mini --variant rsrefseg --seed 0

Reads data/<dataset>/ and weights/<model>/, writes runs/<dataset>/<model>/<variant>/<seed>/: model.safetensors (only
what trained), config.json, train.json and curve.csv. The best epoch is the one of highest validation mIoU, computed by
the function that reports it; the test split is not read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from rich.console import Console

from experiments.config import load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.repeatable import make_repeatable
from experiments.runs import foundation_hashes, save_run
from experiments.settings import ConfigError
from experiments.training.loop import fit
from models.rsrefseg import RSRefSeg


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml")],
    seed: Annotated[int, typer.Option(help="seeds everything that is drawn")] = 0,
) -> None:
    """Train one run."""
    console = Console()
    with clear_errors():
        params = load_params()
        config = resolve(params, dataset, model, variant, seed)
        samples = open_dataset(params, dataset)
        weights = Path("weights") / model
        make_repeatable(seed, config.train.threads)
        accelerator = Accelerator()
        if accelerator.num_processes > 1:
            raise ConfigError(
                f"experiments.train: started as {accelerator.num_processes} processes, each of which would train on "
                "all images; start one: python -m experiments.train"
            )
        network = RSRefSeg.from_foundation(config.model, weights).to(accelerator.device)
        run = fit(network, samples, config, accelerator, console, params.loader.workers)
        folder = save_run(run, foundation_hashes(weights), samples.manifest.samples_sha256)
        console.print(f"kept epoch {run.training.best_epoch}, val mIoU {run.training.best_value:.4f} -> {folder}")


if __name__ == "__main__":
    typer.run(main)
