"""Make every missing point of `run` as a job of a SLURM cluster, and the report when all of them are there.

    python -m experiments.launch --dry-run          # says what would be submitted
    python -m experiments.launch
    python -m experiments.launch --executor local   # the same jobs on this machine, waited for

What a job may use is `cluster` in params.yaml. All nodes work in this folder, on a shared file system. A job that is
preempted or meets its time limit goes back into the queue and on from its last state; a job that failed cancels the
report, and the same command submits again what is missing. docs/cluster.md says more.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from experiments.starters import importing


def main(
    executor: Annotated[Literal["slurm", "local"], typer.Option(help="where the jobs run")] = "slurm",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be submitted, and end")] = False,
) -> None:
    """Submit what is missing."""
    with importing():
        from experiments.commands import launch

    launch.main(executor, dry_run)


if __name__ == "__main__":
    typer.run(main)
