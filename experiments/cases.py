"""Choose test samples by a rule from the runs' results, and keep what each variant made of them.

    python -m experiments.cases --dataset synthetic --model mini

Reads the results and checkpoints of `run.variants` at the first of `run.seeds`, and writes
results/<dataset>/cases/<model>.parquet (cases.py says how samples are chosen and what is kept). The reference
is `rsrefseg` where it is among the variants, else the first of them. Masks are those that were measured; the models run
for their activation maps alone.
"""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.starters import importing


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
) -> None:
    """Choose and keep the cases of one dataset and model."""
    with importing():
        from experiments.commands import cases

    cases.main(dataset, model)


if __name__ == "__main__":
    typer.run(main)
