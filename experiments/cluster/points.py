"""Which points of `run` are missing, as DVC sees it: a point is what one job makes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Set
from dataclasses import dataclass

from experiments.settings import RunConfig

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")


class LaunchError(ValueError):
    """Jobs that cannot be submitted, or that failed; the message says why, and the remedy."""


@dataclass(frozen=True)
class Missing:
    """What is to be made, as names of DVC's stages.

    inputs: data and foundation weights that are not up to date, without which no point can be made.
    points: of each missing run its training and evaluation, of each missing training-free baseline its evaluation.
    report: the stages after all points, in order; empty if they are up to date and no point is missing.
    """

    inputs: tuple[str, ...]
    points: tuple[tuple[str, ...], ...]
    report: tuple[str, ...]


def stale_stages() -> set[str]:
    """The stages that `dvc repro` would run.

    Raises:
        LaunchError: DVC cannot say; with what it says instead.
    """
    done = subprocess.run([*DVC, "status", "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        busy = "a `dvc repro` works here: wait for it" if "rwlock" in done.stderr else "mend this first"
        raise LaunchError(f"dvc status: {done.stderr.strip() or done.returncode}\n{busy}")
    return set(json.loads(done.stdout))


def find_missing(run: RunConfig, stale: Set[str]) -> Missing:
    """Those of the stages that are stale, put together as jobs."""
    inputs = [f"fetch@{name}" for name in run.datasets] + [f"foundation@{name}" for name in run.models]
    places = list(itertools.product(run.datasets, run.models))
    points: list[tuple[str, ...]] = [
        (f"train@{name}", f"evaluate@{name}")
        for place in places
        for variant, seed in itertools.product(run.variants, run.seeds)
        for name in ["-".join((*place, variant, str(seed)))]
    ]
    points += [(f"control@{'-'.join((*place, control))}",) for place in places for control in run.controls]
    missing = tuple(point for point in points if not stale.isdisjoint(point))
    report = (*(f"cases@{'-'.join(place)}" for place in places), "collect", "report")
    return Missing(
        inputs=tuple(name for name in inputs if name in stale),
        points=missing,
        report=report if missing or not stale.isdisjoint(report) else (),
    )
