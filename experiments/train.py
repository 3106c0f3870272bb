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

from typing import Annotated

import typer

from experiments.starters import importing, spread


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="seeds everything that is drawn")] = 0,
) -> None:
    """Train one run."""
    spread()
    with importing():
        from experiments.commands import train

    train.main(dataset, model, variant, seed)


if __name__ == "__main__":
    typer.run(main)
