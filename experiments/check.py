"""Check everything that would fail later, before anything runs: DVC deletes a stage's outputs before the stage can
complain.

    python -m experiments.check

Looks at params.yaml as a whole (names, seeds, paths, keys that are there twice, every run that `run` names), at git,
the disk and the folders that are written, at the tracking server, and at the data and weights that will be needed. All
faults are named at once, each with its remedy; the exit status is 1 if there is one. Takes 2 s: torch is not loaded.
"""

from __future__ import annotations

import typer

from experiments.starters import importing


def main() -> None:
    """Look at everything; name all that is wrong."""
    with importing():
        from experiments.commands import check

    check.main()


if __name__ == "__main__":
    typer.run(main)
