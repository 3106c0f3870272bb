"""Fine-tune one variant and keep its best epoch, or its last (`train.select`).

    python -m experiments.train --dataset synthetic --model mini --variant rsrefseg --seed 0

Reads data/<dataset>/ and weights/<model>/, writes runs/<dataset>/<model>/<variant>/<seed>/: model.safetensors (only
what trained), config.json, train.json and curve.csv. The best epoch is the one of highest validation mIoU, computed by
the function that reports it; the test split is not read here.

Stopped or killed, the same command goes on: every `checkpoint.minutes` its state goes to work/ (training/state.py).
Where MLFLOW_TRACKING_URI is set, MLflow is told of its curve while it runs (experiments/live/). Several processes make
one run together, each with its share of every batch (experiments/ranks.py):

    torchrun --standalone --nproc-per-node 8 -m experiments.train --dataset rrsisd --model rsrefseg-b ...
    accelerate launch --config_file experiments/training/accelerate/eight_gpus_ddp.yaml -m experiments.train ...
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.data.files import remove
from benchmark.data.samples import Dataset
from benchmark.results.provenance import provenance
from experiments.config import load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.frozen.attach import recall_in_training
from experiments.live.stream import streaming
from experiments.locks import only_one
from experiments.ranks import Ranks, rank_of_environment, spread
from experiments.records import training_record
from experiments.repeatable import device_name, make_repeatable
from experiments.runs import foundation_hash, foundation_hashes, run_folder, save_run, work_folder
from experiments.settings import ConfigError, ExperimentConfig, check_batch
from experiments.stopping import stoppable
from experiments.training.launched import make_accelerator, splits_weights
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
    console = Console(quiet=rank_of_environment() > 0)
    with clear_errors(), Ranks() as ranks, stoppable() as stop:
        params = load_params()
        config = resolve(params, dataset, model, variant, seed)
        samples = open_dataset(params, dataset)
        weights = Path("weights") / model
        check_shares(samples, config, ranks.of)
        make_repeatable(seed, config.train.threads)
        accelerator = make_accelerator(config.model.compute.precision)
        foundation = foundation_hashes(weights)
        work = work_folder(config, foundation, samples.manifest.samples_sha256)
        meta = provenance(device_name(accelerator.device.type, ranks.of))
        about = {
            "point": "/".join(run_folder(config).parts[1:]),
            "config": config.plain(),
            "data": samples.manifest.samples_sha256,
            "foundation": foundation_hash(foundation),
            "meta": meta.model_dump(),
        }
        ranks.same(about)
        live = streaming(training_record(config, work.name, meta), work, console)
        with only_one(work) if ranks.first else nullcontext(), live if ranks.first else nullcontext() as stream:
            keeper = Keeper(work, about, params.checkpoint.minutes, stop, console)
            network = RSRefSeg.from_foundation(config.model, weights).to(accelerator.device)
            sharded = splits_weights(accelerator)
            recall_in_training(network, config, foundation, samples, params.features, console, sharded=sharded)
            if not ranks.first:  # the same weights, other draws of dropout
                make_repeatable(seed + ranks.rank, config.train.threads)
            run = fit(network, samples, config, accelerator, console, params.loader.workers, keeper, stream)
            if ranks.first:
                folder = save_run(run, foundation, samples.manifest.samples_sha256)
                remove(work)
                kept = f"kept epoch {run.training.best_epoch}, val mIoU {run.training.best_value:.4f}"
                console.print(f"{kept} -> {folder}")


def check_shares(dataset: Dataset, config: ExperimentConfig, processes: int) -> None:
    """Hold that every step has something for each process.

    Raises:
        ConfigError: the batch cannot be split evenly, or there are fewer images than processes.
    """
    check_batch(config.train, processes)
    images = dataset.split("train")["image_id"].nunique()
    if images < processes:
        raise ConfigError(f"{dataset.folder}: {images} training images for {processes} processes; start fewer")


if __name__ == "__main__":
    spread()
    typer.run(main)
