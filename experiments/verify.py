"""Compare a fresh run with the committed results, number by number.

    python -m experiments.verify                     # results/ here against those of the last commit
    python -m experiments.verify --against FOLDER    # against another results folder

Says of each metric of each run that was made anew "same" (to the six decimals that are stored), "within" (the stated
tolerance) or "off". A run that only one side has is "missing" or "new"; one of another configuration or other data is
"other". One that collapsed on one side only, or to other masks, is "off" whatever its numbers are. The exit status is
0 if something was made anew and nothing is off, other or missing, else 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing
from experiments.tolerances import TOLERANCE_TRAINED


def main(
    results: Annotated[Path, typer.Option(help="the fresh results")] = Path("results"),
    against: Annotated[
        Path | None, typer.Option(help="a results folder to compare with, instead of a commit's")
    ] = None,
    commit: Annotated[str, typer.Option(help="the commit to compare with")] = "HEAD",
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="of mIoU of trained runs, absolute, of shares in [0, 1]")
    ] = TOLERANCE_TRAINED,
    all_numbers: Annotated[bool, typer.Option("--all", help="print what is the same as well")] = False,
) -> None:
    """Verify a fresh run."""
    with importing():
        from experiments.commands import verify

    verify.main(results, against, commit, tolerance, all_numbers)


if __name__ == "__main__":
    typer.run(main)
