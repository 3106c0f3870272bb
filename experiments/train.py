"""Fine-tune one variant and keep its best epoch, or its last (`train.select`).

    python -m experiments.train --dataset synthetic --model mini --variant rsrefseg --seed 0

Reads data/<dataset>/ and weights/<model>/, writes runs/<dataset>/<model>/<variant>/<seed>/: model.safetensors (only
what trained), config.json, train.json and curve.csv. The best epoch is the one of highest validation mIoU, computed by
the function that reports it; the test split is not read here.

Stopped or killed, the same command goes on: every `checkpoint.minutes` its state goes to work/ (training/state.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from rich.console import Console

from benchmark.data.files import remove
from benchmark.results.provenance import provenance
from experiments.config import load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.locks import only_one
from experiments.repeatable import make_repeatable
from experiments.runs import foundation_hash, foundation_hashes, run_folder, save_run, work_folder
from experiments.settings import ConfigError
from experiments.stopping import stoppable
from experiments.training.loop import fit
from experiments.training.state import Keeper
from models.rsrefseg import RSRefSeg


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml")],
    seed: Annotated[int, typer.Option(help="seeds everything that is drawn")] = 0,
) -> None:
    """Train one run."""
    console = Console()
    with clear_errors(), stoppable() as stop:
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
        foundation = foundation_hashes(weights)
        work = work_folder(config, foundation, samples.manifest.samples_sha256)
        about = {
            "point": "/".join(run_folder(config).parts[1:]),
            "config": config.plain(),
            "data": samples.manifest.samples_sha256,
            "foundation": foundation_hash(foundation),
            "meta": provenance(f"{accelerator.device.type} ({config.train.threads} threads)").model_dump(),
        }
        with only_one(work):
            keeper = Keeper(work, about, params.checkpoint.minutes, stop, console)
            network = RSRefSeg.from_foundation(config.model, weights).to(accelerator.device)
            run = fit(network, samples, config, accelerator, console, params.loader.workers, keeper)
            folder = save_run(run, foundation, samples.manifest.samples_sha256)
            remove(work)
        console.print(f"kept epoch {run.training.best_epoch}, val mIoU {run.training.best_value:.4f} -> {folder}")


if __name__ == "__main__":
    typer.run(main)
