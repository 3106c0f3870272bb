"""Put a trained run into git: what `experiments.predict` and `experiments.demo` use where no run is named.

    python -m experiments.publish --dataset vhr10 --variant rsrefseg --seed 0

Reads the run and its result and writes weights/<model>/trained/<dataset>/ (experiments/published.py says what), to be
committed together with the result. Half the precision is half the file: it is taken if, on the test split, mIoU moves
by no more than MIOU and no more than CHANGED of the pixels change sides, measured here on the run at hand.
"""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.starters import importing


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")] = "mini",
    variant: Annotated[str | None, typer.Option(help="one that was trained, instead of its system's first")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="the run's seed")] = 0,
) -> None:
    """Publish one trained run."""
    with importing():
        from experiments.commands import publish

    publish.main(dataset, model, variant, seed)


if __name__ == "__main__":
    typer.run(main)
