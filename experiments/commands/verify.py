"""Fresh results held against committed ones, number by number."""

from __future__ import annotations

import io
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.output.terminal import plain, say, terminal
from benchmark.results.schema import METRICS
from benchmark.results.store import UNKNOWN, StoredResult, find_results, run_key
from experiments.config import differences
from experiments.errors import InputError, clear_errors
from experiments.tolerances import TOLERANCE_CONTROL, TOLERANCE_TRAINED

STEADY = ("miou", "boundary_iou")  # over seeds, the other metrics spread twice as much: reports/LOG.md, 2026-11-30
SAME = 1e-6
COLLAPSED = "collapsed"
WRONG = {"off", "other", "missing"}
STYLES = {"same": "green", "within": "green", "off": "red", "other": "red", "missing": "red", "new": "yellow"}


@dataclass(frozen=True)
class Comparison:
    """One number. verdict: a key of STYLES; metric "" and no values where a whole run is other, missing or new.

    Where the two sides differ in StoredResult.collapsed, metric is COLLAPSED and the values are those.
    """

    run: str
    metric: str
    committed: float | str | None
    fresh: float | str | None
    verdict: str


def compare_results(
    committed: Mapping[tuple[str, str, str, int], StoredResult],
    fresh: Mapping[tuple[str, str, str, int], StoredResult],
    tolerance: float = TOLERANCE_TRAINED,
) -> list[Comparison]:
    """Every metric of every run of either side, in order of dataset, model, variant, seed."""
    found = []
    for key in sorted(committed.keys() | fresh.keys()):
        name = " · ".join(str(part) for part in key)
        if key not in fresh or key not in committed:
            found.append(Comparison(name, "", None, None, "missing" if key not in fresh else "new"))
            continue
        before, now = committed[key], fresh[key]
        if _made_from(before) != _made_from(now):
            found.append(Comparison(name, "", None, None, "other"))
            continue
        if before.collapsed != now.collapsed and UNKNOWN not in (before.collapsed, now.collapsed):
            found.append(Comparison(name, COLLAPSED, before.collapsed, now.collapsed, "off"))
        trained = not before.result.run.control and before.result.run.outside is None
        allowed = tolerance if trained else TOLERANCE_CONTROL
        if _on_one_cpu(before, now):
            allowed = 0.0
        for metric in METRICS:
            if metric in before.metrics or metric in now.metrics:
                values = before.metrics.get(metric), now.metrics.get(metric)
                room = 2 * allowed if trained and metric not in STEADY else allowed
                found.append(Comparison(name, metric, *values, _verdict(*values, room)))
    return found


def _place(one: StoredResult) -> dict[str, str]:
    """What a result was computed by: device, processor and threads; versions."""
    meta = one.result.meta
    return {"device": meta.device, **meta.versions}


def _on_one_cpu(before: StoredResult, now: StoredResult) -> bool:
    """Whether both were computed by the same kind of processor, threads and libraries; results made before the
    processor was noted (device "cpu (1 threads)") do not tell."""
    device = before.result.meta.device
    return device.startswith("cpu") and "," in device and _place(before) == _place(now)


def elsewhere(
    committed: Mapping[tuple[str, str, str, int], StoredResult], fresh: Mapping[tuple[str, str, str, int], StoredResult]
) -> list[str]:
    """In what both sides were computed by something else, each difference once."""
    both = [(_place(committed[key]), _place(fresh[key])) for key in sorted(committed.keys() & fresh.keys())]
    return list(dict.fromkeys(said for before, now in both for said in differences(before, now)))


def _made_from(one: StoredResult) -> tuple[str, dict[str, Any], str]:
    """Configuration, foundation weights and data of a result."""
    return one.result.run.fingerprint, one.result.run.config, one.result.data.manifest_sha256


def _verdict(before: float | None, now: float | None, allowed: float) -> str:
    if before is None or now is None:
        return "missing" if now is None else "new"
    # half of the last stored digit more, so that rounding decides nothing
    difference = abs(before - now) - SAME / 2
    return "same" if difference <= 0 else "within" if difference <= allowed else "off"


@contextmanager
def committed_results(folder: Path, commit: str) -> Iterator[Path]:
    """The folder as a commit has it, laid out in a temporary place.

    Raises:
        InputError: there is no git, no such commit, or no such folder in it.
    """
    try:
        done = subprocess.run(
            ["git", "archive", "--format=zip", commit, "--", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise InputError("git is not there to ask for the committed results; use --against FOLDER") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["unknown"]
        raise InputError(
            f"{commit} has no {folder}/ ({reason[0]}); name another --commit, or --against a folder of results"
        )
    with tempfile.TemporaryDirectory() as place:
        with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
            archive.extractall(place)
        yield Path(place) / folder


def main(results: Path, against: Path | None, commit: str, tolerance: float, all_numbers: bool) -> None:
    """Verify a fresh run."""
    with clear_errors():
        if not results.is_dir():
            raise InputError(f"--results {results}: there is no such folder; run `make repro` first")
        fresh = {run_key(one.result.run): one for one in find_results(results)}
        if against is not None:
            if not against.is_dir():
                raise InputError(f"--against {against}: there is no such folder")
            committed = {run_key(one.result.run): one for one in find_results(against)}
        else:
            with committed_results(results, commit) as place:
                committed = {run_key(one.result.run): one for one in find_results(place)}
        runs = len(committed)
        # a result tells how long it took: one that is equal in that, too, is the other's own file
        itself = [key for key in fresh if key in committed and fresh[key].result == committed[key].result]
        for key in itself:
            del fresh[key], committed[key]
        found = compare_results(committed, fresh, tolerance)
    console = terminal()
    print_comparison(console, found, tolerance, all_numbers)
    print_verdict(console, found, len(itself), runs)
    if others := elsewhere(committed, fresh):
        say(console, f"Computed by something else, where numbers may differ: {'; '.join(others)}.")
    if not is_verified(found):
        raise typer.Exit(1)


def is_verified(found: list[Comparison]) -> bool:
    """Whether something was compared, and nothing differs by more than it may."""
    verdicts = {one.verdict for one in found}
    return not verdicts & WRONG and bool(verdicts & {"same", "within"})


def print_comparison(console: Console, found: list[Comparison], tolerance: float, everything: bool) -> None:
    """A line for each number that is not the same (or for all), and the tolerance."""
    shown = [one for one in found if everything or one.verdict != "same"]
    if shown:
        table = Table(box=SIMPLE)
        for column in ("run", "metric", "committed", "fresh", "difference", "verdict"):
            table.add_column(column, justify="left" if column in ("run", "metric", "verdict") else "right")
        for one in shown:
            difference = "–"
            if isinstance(one.committed, float) and isinstance(one.fresh, float):
                difference = f"{100 * (one.fresh - one.committed):+.4f}"
            numbers = [_printed(value) for value in (one.committed, one.fresh)]
            title = METRICS[one.metric].title if one.metric in METRICS else one.metric or "the whole run"
            verdict = Text(one.verdict, STYLES[one.verdict])
            table.add_row(plain(one.run), title, *map(plain, numbers), difference, verdict)
        console.print(table)
    console.print(
        f"In %; tolerance {100 * tolerance:g} percentage points of mIoU and BIoU and twice that of other metrics for "
        f"trained runs, {100 * TOLERANCE_CONTROL:g} for training-free baselines.",
        soft_wrap=True,
    )


def print_verdict(console: Console, found: list[Comparison], itself: int, runs: int) -> None:
    """What was compared, and whether it holds. runs: of the side compared with, of which so many are the very files."""
    numbers = Counter(one.verdict for one in found if one.metric)
    whole = Counter(one.verdict for one in found if not one.metric)
    anew = len({one.run for one in found if one.verdict not in ("missing", "new")})
    said = [f"{anew} of {runs} made anew"]
    said += [f"{itself} are the same files"] * bool(itself)
    said += [f"{whole[verdict]} {verdict}" for verdict in STYLES if whole[verdict]]
    counted = ", ".join(f"{numbers[verdict]} {verdict}" for verdict in STYLES if numbers[verdict])
    console.print(f"Runs: {', '.join(said)}. Numbers: {counted or 'none'}.", soft_wrap=True)
    if is_verified(found):
        console.print(f"Verified: {anew} of {runs} runs are reproduced.", style="green")
    elif {one.verdict for one in found} & WRONG:
        console.print("Not verified: see what is off, other or missing.", style="red")
    else:
        console.print("Nothing was verified: no run was made anew; `make repro` makes some.", style="yellow")


def _printed(value: float | str | None) -> str:
    """A share in %, a word as it is, "–" for nothing."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{100 * value:.4f}"
