"""Say what is in a dataset and what in it deserves a look, before a model is trained on it.

    python -m experiments.audit --dataset refsegrs
    python -m experiments.audit --dataset refsegrs --out somewhere/else

Writes reports/generated/audit/<dataset>/index.html, one page that needs nothing else, and audit.json beside it with the
same numbers. Findings are no errors: the exit status is 0 with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing


def main(
    dataset: Annotated[str, typer.Option(help="a dataset of params.yaml")],
    out: Annotated[
        Path | None, typer.Option(help="folder of the page; reports/generated/audit/DATASET if none")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="threads; they change nothing but the speed")] = 4,
) -> None:
    """Audit one dataset."""
    with importing():
        from experiments.commands import audit

    audit.main(dataset, out, workers)


if __name__ == "__main__":
    typer.run(main)
