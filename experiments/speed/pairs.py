"""Two ways of doing the same, measured in turns in one process, so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """One line of reports/generated/speed.csv.

    path: what users wait for ("evaluation") · case: of which ("mini, 16 expressions an image") · reference, ours:
    median seconds · ratio: the median of reference / ours over the turns · share: of `limit`, the rate that the machine
    reached in the same run (a matrix multiplication, a decoder, the disk), in [0, 1]; None where nothing limits it that
    can be measured · goal: the ratio that was asked for, None where none was · peak_mb: what the process has held at
    most, in MiB · note: what a reader must know, for example why a goal is not reached.
    """

    path: str
    case: str
    reference: float
    ours: float
    ratio: float
    share: float | None = None
    limit: str = ""
    goal: float | None = None
    peak_mb: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Growth:
    """How a cost grows: one line a size of reports/generated/speed_growth.csv.

    path: what is done ("prediction, mini") · over: what `size` counts ("expressions an image") · peak_mb: the most
    memory at this size, in MiB; `note` says of what, where it is not the process's.
    """

    path: str
    over: str
    size: float
    seconds: float
    peak_mb: float | None = None
    note: str = ""


def in_turns(
    reference: Callable[[], object], ours: Callable[[], object], turns: int, *, warm_up: bool = True
) -> tuple[float, float, float]:
    """Median seconds of both, and the median of their ratios; with `warm_up`, a run of each before is not counted."""
    if warm_up:
        seconds(reference), seconds(ours)
    pairs = [(seconds(reference), seconds(ours)) for _ in range(turns)]
    plain, quick = zip(*pairs, strict=True)
    return statistics.median(plain), statistics.median(quick), statistics.median(a / b for a, b in pairs)


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of a run, with what it left to a GPU."""
    started = time.perf_counter()
    run()
    torch = sys.modules.get("torch")  # where nothing imported it, nothing is to be waited for
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
