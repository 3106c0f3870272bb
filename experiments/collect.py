"""Fill MLflow from the result files, and read it back into one table.

    python -m experiments.collect

One experiment per dataset, one run per (dataset, model, variant, seed). Run it as often as you like: an unchanged
result is not logged again, a changed one replaces its run, and one whose training was told live (experiments/live/)
completes that run, whatever part of it arrived. What was put in is read back *out of* MLflow into
reports/generated/runs.csv and compared with the files; a difference is an error. Runs in MLflow whose result files are
gone stay there, for whoever wants them, and are not in runs.csv.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing


def main(
    results: Annotated[Path, typer.Option(help="Folder of result files.")] = Path("results"),
    table: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("reports/generated/runs.csv"),
) -> None:
    """Fill MLflow from the result files and write the table read back out of it."""
    with importing():
        from experiments.commands import collect

    collect.main(results, table)


if __name__ == "__main__":
    typer.run(main)
