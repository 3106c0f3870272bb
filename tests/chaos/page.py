"""Kills, faults and damaged files, all of them, and the page that says how it went: docs/chaos.md.

    python -m tests.chaos.page            # what `make chaos` does; a part of it is in `make test`

What is lost stands on the page, and the exit status is 1.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmark.results.provenance import provenance
from tests.chaos import inputs
from tests.chaos.faults import FAULTS, survive
from tests.chaos.kills import MADE, ROOT, compare, make_study, undisturbed

PAGE = ROOT / "docs" / "chaos.md"
TEXT = """# What kills and faults cost

Made by `make chaos` (seed {seed}) on {date}, of commit {commit}, in {minutes} minutes ({cores} cores, torch {torch}).
**Lost: {lost}.** How it is done is in [testing](testing.md).

Survived is what ends, once the kills and the fault are over and the same command is given again, with the bytes of a
run that nobody disturbed: weights and curve of a training, per-sample table, masks and sweep of an evaluation.

## Killed at random moments

{kills}

## Faults

{faults}

## Damaged files at every reader

{inputs}. Survived: refused by an error that the reader declares, or read, within {seconds} s of processor time and
{gib} GiB, with nothing left beside the file.
"""
Row = tuple[str, ...]


def killed(study: Path, kills: int, processes: int, seed: int) -> Iterator[Row]:
    """Each command by so many processes: what killed it, and how it ended."""
    if kills:
        for command in MADE:
            whole, seconds = undisturbed(study, command, processes)
            met, fault = {}, ""
            try:
                met = compare(study, command, kills, seed, whole, seconds, processes)
            except AssertionError as error:
                fault = _brief(error)
            said = ", ".join(f"{count} x {how}" for how, count in sorted(met.items()))
            yield command, str(processes), said or fault, *_counted(kills, fault)


def faulty(study: Path, names: str, root: bool) -> Iterator[Row]:
    """Each fault whose name matches, and what the command said of it."""
    whole = {command: undisturbed(study, command)[0] for command in MADE}
    for fault in (one for one in FAULTS if re.search(names, one.name)):
        if fault.mounts and not root:
            yield fault.command, fault.name, "not tried: mounting needs root", "0", "0", "0"
            continue
        said, lost = "", ""
        try:
            said = survive(study, fault, whole[fault.command])
        except AssertionError as error:
            lost = _brief(error)
        name = "passed over" if fault.ends else "refused"
        yield fault.command, fault.name, f"{name}: `{(said or lost).replace(str(study), '.')}`", *_counted(1, lost)


def _brief(error: AssertionError) -> str:
    """The end of what it says, on one line."""
    return " ".join(str(error).split())[-300:]


def _counted(tried: int, lost: str) -> Row:
    """Tried, survived, lost."""
    return (str(tried), "0", str(tried)) if lost else (str(tried), str(tried), "0")


def table(header: Row, rows: Sequence[Row]) -> str:
    """Markdown."""
    cells = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def main(
    count: Annotated[int, typer.Option("--inputs", min=1, help="damaged files")] = 100_000,
    kills: Annotated[int, typer.Option(min=0, help="of each command")] = 30,
    kills_of_two: Annotated[int, typer.Option(min=0, help="of each command, by two processes")] = 15,
    faults: Annotated[str, typer.Option(help="a pattern of names")] = "",
    seed: Annotated[int, typer.Option(min=0, help="of all that is drawn")] = 0,
    page: Annotated[Path, typer.Option(help="what is written")] = PAGE,
) -> None:
    """Do it all and write the page."""
    started, by, meta = time.monotonic(), [], provenance("cpu").model_dump()
    with tempfile.TemporaryDirectory() as place:
        study = make_study(Path(place))
        by.append(_told(chain(killed(study, kills, 1, seed), killed(study, kills_of_two, 2, seed))))
        by.append(_told(faulty(study, faults, os.geteuid() == 0)))
    with tempfile.TemporaryDirectory() as place:
        findings = [f"{number}: {fault.splitlines()[0]}" for number, fault in inputs.run(seed, count, Path(place))]
    lost = sum(int(row[-1]) for rows in by for row in rows) + len(findings)
    text = TEXT.format(
        seed=seed,
        lost=lost,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=(meta["git_commit"] or "unknown")[:10] + " with changes" * bool(meta["git_dirty"]),
        minutes=round((time.monotonic() - started) / 60),
        cores=os.cpu_count(),
        torch=torch.__version__,
        kills=table(("command", "processes", "what it met", "tried", "survived", "lost"), by[0]),
        faults=table(("command", "fault", "what it says", "tried", "survived", "lost"), by[1]),
        inputs=f"{count:,} tried, {count - len(findings):,} survived, {len(findings)} lost",
        seconds=inputs.SECONDS,
        gib=inputs.BYTES >> 30,
    )
    page.write_text("\n".join([text, *[f"* {finding}" for finding in findings]]), encoding="utf-8")
    raise typer.Exit(1 if lost else 0)


def _told(rows: Iterator[Row]) -> list[Row]:
    """The rows, each printed as it comes."""
    found = []
    for row in rows:
        sys.stdout.write(" · ".join(row) + "\n")
        sys.stdout.flush()
        found.append(row)
    return found


if __name__ == "__main__":
    typer.run(main)
