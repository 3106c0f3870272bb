"""Measuring modules run one after another, each in a process of its own, and their tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.data.errors import ends_with
from benchmark.data.files import write_all
from benchmark.output.escaping import csv_table
from benchmark.output.terminal import say, terminal
from experiments.settings import ConfigError, nearest
from experiments.speed.machine import Others, busy
from experiments.speed.pairs import Growth, Pair

MODULES = (  # of experiments/speed/, in the order in which they are measured and shown
    *("training", "evaluation", "frozen", "encoder", "systems"),
    *("loading", "masks", "growth", "around"),
)
PACKAGE = "experiments.speed"
PAIRS, GROWTHS = "speed.csv", "speed_growth.csv"
WHERE = ("machine", "versions", "commit", "date", "busy")
COLUMNS = {  # file -> its columns
    PAIRS: ("module", *(field.name for field in fields(Pair)), *WHERE),
    GROWTHS: ("module", *(field.name for field in fields(Growth)), *WHERE),
}


class BenchError(RuntimeError):
    """A measurement that failed, or tables that do not fit; the message says which and what to do."""


def chosen(only: Sequence[str]) -> list[str]:
    """The modules to measure, in MODULES' order; all of them if none is named.

    Raises:
        ConfigError: a name that is not in MODULES, with the nearest; a module of MODULES that is not there.
    """
    for name in only:
        if name not in MODULES:
            raise ConfigError(f"--only {name}: there is no such measurement{nearest(name, MODULES)}")
    names = [name for name in MODULES if not only or name in only]
    for name in names:
        if find_spec(f"{PACKAGE}.{name}") is None:
            raise ConfigError(f"{PACKAGE}.{name} is not there: write it, or take its name out of MODULES ({__file__})")
    return names


def measured(name: str) -> dict[str, Any]:
    """What a module finds, measured in a process of its own.

    Raises:
        BenchError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, "-m", "experiments.speed.child", f"{PACKAGE}.{name}", str(out)]
        status = subprocess.run(command, check=False).returncode
        if status != 0:
            raise BenchError(
                f"measurement {name!r} ended with status {status}; what it said is above. Nothing was written; "
                f"try it alone: python -m experiments.bench --only {name}"
            )
        document: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return document


def rows(name: str, found: Mapping[str, Any], load: float) -> dict[str, list[dict[str, str]]]:
    """File -> its lines of one module. load: of the machine before any of them."""
    place = {**found["where"], "busy": busy(load, Others(**found["others"])), "module": name}
    kinds = {PAIRS: found["pairs"], GROWTHS: found["growths"]}
    return {
        file: [{column: _text({**row, **place}[column]) for column in COLUMNS[file]} for row in lines]
        for file, lines in kinds.items()
    }


def _text(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def kept(out: Path, names: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """File -> the lines of modules that are not measured now.

    Raises:
        BenchError: a damaged table, or one of other columns.
    """
    found = {}
    for file, columns in COLUMNS.items():
        there = pd.DataFrame(columns=list(columns))
        if (out / file).is_file():
            try:
                there = pd.read_csv(out / file, dtype=str, keep_default_na=False)
            except ValueError as error:
                raise BenchError(f"{out / file} cannot be read ({error}); measure all, without --only") from error
        if tuple(there.columns) != columns:
            raise BenchError(f"{out / file} has other columns than this version writes; measure all, without --only")
        lines = [{str(name): str(value) for name, value in row.items()} for row in there.to_dict("records")]
        found[file] = [row for row in lines if row["module"] in MODULES and row["module"] not in names]
    return found


def make_room(out: Path) -> None:
    """The folder to write to, before a quarter of an hour is spent on what would be lost.

    Raises:
        BenchError: it cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise BenchError(f"--out {out}: {error.strerror}; give a folder that can be written") from error


def write(out: Path, lines: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Write both tables or none, in MODULES' order."""
    contents = {}
    for file, columns in COLUMNS.items():
        ordered = sorted(lines[file], key=lambda row: MODULES.index(row["module"]))
        contents[out / file] = csv_table(pd.DataFrame(ordered, columns=list(columns))).encode()
    write_all(contents)


def main(only: Sequence[str], out: Path) -> None:
    """Measure all, or `only` some, and write the tables."""
    console = terminal(soft_wrap=True)
    with ends_with(ConfigError, BenchError):
        names, load = chosen(only), os.getloadavg()[0]
        make_room(out)
        lines = kept(out, names) if only else {file: [] for file in COLUMNS}
        for name in names:
            say(console, f"measuring {name}")
            found = rows(name, measured(name), load)
            for row in found[PAIRS]:
                say(console, f"  {row['path']}, {row['case']}: {float(row['ratio']):.2f}")
            for file, more in found.items():
                lines[file].extend(more)
        write(out, lines)
    say(console, f"written: {out / PAIRS}, {out / GROWTHS}; the page: python -m reports.speed")
