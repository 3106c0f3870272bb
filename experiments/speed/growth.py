"""How time and memory grow with samples: metrics, statistics, evaluations and reports, each in a process of its own.

    python -m experiments.speed.growth

Images are of 64 x 64 pixels and predictions are a stub's, so that what is measured is what is done for each sample.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.output.terminal import say, terminal
from experiments.speed.pairs import Growth
from experiments.speed.steps import DRAWS

SIZES = (1_000, 10_000, 100_000, 1_000_000)
WHOLE = (1_000, 10_000, 100_000)  # samples that are evaluated and reported
STUDY = 16_000  # images of a study of 5 variants and 3 seeds
LOOK = 0.02  # s between two looks at a process's memory


def measure() -> list[Growth]:
    """Of every step and size, the time without what the step is given; of a report, that of the command."""
    return list(_measured())


def _measured() -> Iterator[Growth]:
    with tempfile.TemporaryDirectory() as name:
        for step, title in (("metrics", "metrics"), ("statistics", f"intervals of {DRAWS:,} resamples")):
            for size in SIZES:
                yield Growth(title, "samples", size, *_run(step, size, Path(name)))
        for size in WHOLE:
            folder = Path(name) / str(size)
            _run("dataset", size, folder)
            yield Growth("evaluation", "samples", size, *_run("evaluation", size, folder))
            _run("one_run", size, folder)
            yield Growth("report of one run", "samples", size, *_report(folder))
        folder = Path(name) / "study"
        _run("study", STUDY, folder)
        yield Growth("report of 5 variants x 3 seeds", "images", STUDY, *_report(folder))


def _run(step: str, size: int, folder: Path) -> tuple[float, float | None]:
    """Seconds and MiB of a step."""
    printed, _, peak = watch([sys.executable, "-m", "experiments.speed.steps", step, str(size), str(folder)])
    return float(printed), peak


def _report(folder: Path) -> tuple[float, float | None]:
    """Seconds and MiB of a report's whole command."""
    options = {"results": "results", "params": "params.yaml", "generated": "generated"}
    given = [part for name, place in options.items() for part in (f"--{name}", str(folder / place))]
    _, seconds, peak = watch([sys.executable, "-m", "reports.build", *given])
    return seconds, peak


def watch(command: Sequence[str]) -> tuple[str, float, float | None]:
    """Run a command: what it printed, its seconds, and the most memory that it held, in MiB; None where /proc does not
    say. A process's own getrusage would count what the process that started it held."""
    with tempfile.TemporaryFile("w+") as printed:
        started, peak = time.perf_counter(), None
        with subprocess.Popen(command, stdout=printed) as process:
            while process.poll() is None:
                peak = _held(process.pid) or peak
                time.sleep(LOOK)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        printed.seek(0)
        return printed.read(), seconds, peak


def _held(pid: int) -> float | None:
    """The most that a process has held so far, in MiB; None where it has ended, or on a system without /proc."""
    status = Path(f"/proc/{pid}/status")
    try:
        text = status.read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    lines = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else None


if __name__ == "__main__":
    for one in _measured():
        memory = "" if one.peak_mb is None else f", {one.peak_mb:,.0f} MiB"
        say(terminal(), f"{one.path}, {one.size:,.0f} {one.over}: {one.seconds:.1f} s{memory}")
