"""Score an external submission: the masks of a model that was run elsewhere, measured with the same code.

    python -m experiments.score --dataset rrsisd --predictions rmsin.jsonl --name "RMSIN (ours)"

The masks are one JSON line per sample, or a folder of PNG files (benchmark/scoring.py). Of the test split the result
goes to results/<dataset>/outside/<name>/0/, and with the next `dvc repro collect report` into the dataset's tables; of
another split the metrics are printed only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml that was fetched")],
    predictions: Annotated[Path, typer.Option(help="a .jsonl file, or a folder of <sample_id>.png")],
    name: Annotated[str, typer.Option(help='what it is called in tables, for example "RMSIN (ours)"')],
    split: Annotated[str, typer.Option(help="train, val or test; only test is recorded")] = "test",
) -> None:
    """Score one external submission."""
    with importing():
        from experiments.commands import score

    score.main(dataset, predictions, name, split)


if __name__ == "__main__":
    typer.run(main)
