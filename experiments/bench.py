"""Measure speed, side by side with the plain way, and how costs grow.

    python -m experiments.bench
    python -m experiments.bench --only training --only evaluation     # the others' lines stay as they are

Each module of experiments/speed/ that MODULES names is measured in a process of its own, one after another: what one
holds, imports or sets disturbs no other. Writes speed.csv and speed_growth.csv under reports/generated/, both or
neither; `python -m reports.speed` makes docs/speed.md of them. Wants a quiet machine; a busy one is noted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def main(
    only: Annotated[list[str] | None, typer.Option(help="A measurement; may be given several times.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/generated"),
) -> None:
    """Measure and write the tables."""
    from experiments.commands import bench

    bench.main(only or [], out)


if __name__ == "__main__":
    typer.run(main)
