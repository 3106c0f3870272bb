"""Write docs/speed.md and its figure from what `python -m experiments.bench` measured.

    python -m reports.speed

Reads speed.csv and speed_growth.csv under reports/generated/; the same tables give the same bytes. No part of the
pipeline: what is measured differs from day to day and from machine to machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def main(
    generated: Annotated[Path, typer.Option(help="Folder of the tables, and of the figure.")] = Path(
        "reports/generated"
    ),
    document: Annotated[Path, typer.Option(help="The page.")] = Path("docs/speed.md"),
) -> None:
    """Build the page and its figure."""
    from reports import measured

    measured.main(generated, document)


if __name__ == "__main__":
    typer.run(main)
