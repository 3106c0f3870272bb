"""Measure one run, or one training-free baseline, on the test split.

    python -m experiments.evaluate --dataset synthetic --model mini --variant rsrefseg --seed 0
    python -m experiments.evaluate --dataset synthetic --model mini --variant whole_image

Predicts every test sample once and writes results/<dataset>/<model>/<variant>/<seed>/ (benchmark/results/store.py says
what): every mask, and what was measured of them. Stopped or killed, the same command goes on after the last batch.
"""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.starters import importing, spread


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str, typer.Option(help="a variant of params.yaml, or a control")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="the run's seed; a control draws nothing and has 0")
    ] = 0,
) -> None:
    """Evaluate one run or control."""
    spread()
    with importing():
        from experiments.commands import evaluate

    evaluate.main(dataset, model, variant, seed)


if __name__ == "__main__":
    typer.run(main)
