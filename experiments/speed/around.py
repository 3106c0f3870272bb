"""What lies around the computing: until a command answers, until a training can begin, and results collected in MLflow.

The reference of a start is the same with everything imported at once, as commands did until their options got files of
their own; that of collecting is every result read, drawn and asked for by itself. Results are the committed ones of
`synthetic` under other seeds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.results.store import find_results
from experiments.commands.collect import collect, to_record
from experiments.places import RESULTS
from experiments.speed.pairs import Growth, Pair, in_turns
from experiments.tracking import TrackingStore

DATASET = "synthetic"
RUNS = Path(DATASET, "mini")
TURNS = 3
FEW = 50  # results of which the plain way takes ten seconds
MANY = (50, 100, 200)
IMPORT = "import experiments.commands.train"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


def measure() -> list[Pair]:
    """Pairs of `start` and `collect`."""
    return [_help(), _imports(), _again()]


def growth() -> list[Growth]:
    """Collecting 50 to 200 results, by the command: those that are new, as many at a time, and then once more."""
    found, total = [], 0.0
    with _place() as place:
        command = ("-m", "experiments.collect", "--results", str(place / "results"), "--table", str(place / "runs.csv"))
        for size in MANY:
            make_results(place / "results", size)
            total += _seconds(command, place)
            found.append(Growth("collect, the first time (asked for: 30 s of 200)", "results", size, total))
            again = _seconds(command, place)
            found.append(Growth("collect, nothing new (asked for: 3 s of 200)", "results", size, again))
    return found


def make_results(results: Path, count: int) -> None:
    """So many results under `results`, those that are there among them: runs of `synthetic`, each of a seed of its own.

    Raises:
        FileNotFoundError: the committed results are not here.
    """
    runs = [path.parent for path in sorted((RESULTS / RUNS).glob("*/*/curve.csv"))]
    if not runs:
        raise FileNotFoundError(f"{RESULTS / RUNS}: no results; take them out of git: git checkout {RESULTS}")
    (results / DATASET).mkdir(parents=True, exist_ok=True)
    shutil.copy(RESULTS / DATASET / "examples.parquet", results / DATASET)
    for seed, run in enumerate(islice(cycle(runs), count), start=1000):
        folder = results / RUNS / run.parent.name / str(seed)
        if folder.is_dir():
            continue
        shutil.copytree(run, folder)
        document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        document["run"] |= {"seed": seed, "fingerprint": f"{seed:016x}"}
        (folder / "result.json").write_text(json.dumps(document), encoding="utf-8")


def _help() -> Pair:
    command = ("-m", "experiments.train", "--help")
    whole = ("-c", f"{IMPORT}; import runpy, sys; sys.argv = ['', '--help']; runpy.run_module('experiments.train')")
    reference, ours, ratio = in_turns(lambda: _seconds(whole), lambda: _seconds(command), TURNS)
    note = f"asked for: 0.5 s, and it is {ours:.2f} s; reference: with what a training imports"
    return Pair("start", "experiments.train --help", reference, ours, ratio, note=note)


def _imports() -> Pair:
    quick = ("-c", f"from experiments.starters import importing\nwith importing():\n    {IMPORT}")
    reference, ours, ratio = in_turns(lambda: _seconds(("-c", IMPORT)), lambda: _seconds(quick), TURNS)
    note = "reference: with a search for garbage among what is imported; most of the rest is torch and transformers"
    return Pair("start", "until a training has its imports", reference, ours, ratio, note=note)


def _again() -> Pair:
    with _place() as place:
        make_results(place / "results", FEW)
        results, uri = place / "results", f"sqlite:///{place}/mlflow.db"
        collect(results, place / "runs.csv", uri)
        reference, ours, ratio = in_turns(
            lambda: _plainly(results, uri), lambda: collect(results, place / "runs.csv", uri), 1
        )
    return Pair("collect", f"{FEW} results that MLflow has already", reference, ours, ratio)


def _plainly(results: Path, uri: str) -> None:
    store = TrackingStore(uri)
    for stored in find_results(results):
        store.put(to_record(stored, results / DATASET / "examples.parquet"))


@contextmanager
def _place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rsrefseg-speed-") as folder:
        yield Path(folder)


def _seconds(arguments: tuple[str, ...], place: Path | None = None) -> float:
    """Of a Python of its own; place: where MLflow's database lies."""
    there = {} if place is None else {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db"}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **QUIET, **there}, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started
