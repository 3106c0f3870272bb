"""One run trained, alone or by several processes."""

from __future__ import annotations

from contextlib import nullcontext

from rich.console import Console

from benchmark.data.files import remove
from benchmark.data.samples import Dataset
from benchmark.results.provenance import provenance
from experiments.config import load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.foundations import foundation_hash, open_foundation
from experiments.frozen.attach import recall_in_training
from experiments.live.stream import streaming
from experiments.locks import only_one
from experiments.ranks import Ranks
from experiments.records import training_record
from experiments.repeatable import device_name, make_repeatable
from experiments.runs import run_folder, save_run, work_folder
from experiments.settings import ConfigError, ExperimentConfig, check_batch
from experiments.starters import rank_of_environment
from experiments.stopping import stoppable
from experiments.training.launched import make_accelerator, splits_weights
from experiments.training.loop import fit
from experiments.training.state import Keeper
from models.systems import build, precision_of


def main(dataset: str, model: str, variant: str, seed: int) -> None:
    """Train one run."""
    console = Console(quiet=rank_of_environment() > 0)
    with clear_errors(), Ranks() as ranks, stoppable() as stop:
        params = load_params()
        config = resolve(params, dataset, model, variant, seed)
        samples = open_dataset(params, dataset)
        check_shares(samples, config, ranks.of)
        make_repeatable(seed, config.train.threads)
        accelerator = make_accelerator(precision_of(config.model))
        weights, foundation = open_foundation(model, config.model)
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
            network = build(config.model, weights).to(accelerator.device)
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
