"""Turn a dataset into the one table of samples.

    python -m experiments.fetch --dataset synthetic
    python -m experiments.fetch --dataset refsegrs --offline

Fetches what is not there yet into the dataset's root (datasets.<name>.root in params.yaml), then writes data/<dataset>/
(samples.parquet, manifest.json, and images/ unless they stay at the root), and three tables for reports, which then
need no dataset: results/<dataset>/truth.parquet, the true mask of every test sample; examples.parquet beside it, a few
of them with their images, chosen by a rule before any model sees them; and strata.parquet, what each is like.
"""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.starters import importing


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    offline: Annotated[bool, typer.Option("--offline", help="use what is there, never the network")] = False,
    allow_count_mismatch: Annotated[
        bool, typer.Option("--allow-count-mismatch", help="take other numbers of samples than published")
    ] = False,
) -> None:
    """Build one dataset."""
    with importing():
        from experiments.commands import fetch

    fetch.main(dataset, offline, allow_count_mismatch)


if __name__ == "__main__":
    typer.run(main)
