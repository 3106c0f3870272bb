"""What the systems are made of, and what they cost: beside systems.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.results.store import StoredResult
from reports.groups import Group, Method
from reports.report import Comparison
from reports.systems import Speed
from reports.tables.comparisons import said_count, said_rate
from reports.tables.rendering import MISSING, Cell, Table, millions
from reports.tables.systems import missing_notes, titled

COST = {  # of the numbers -> title and print
    "steps": ("steps", said_count),
    "peak_memory_mb": ("peak memory (MB)", said_count),
    "seconds_per_step": ("s/step", lambda value: MISSING if value is None else f"{value:.2f}"),
    "images_per_second": ("images/s", said_rate),
}


def systems_cost_table(comparison: Comparison) -> Table:
    """What each system is made of, what it cost on the first dataset where all have results, else the first, and how
    fast it is where that was measured beside the others."""
    whole = (group for group in comparison.groups if len(group.present) == len(comparison.systems))
    chosen = next(whole, comparison.groups[0])
    rows, numbers = [], []
    for system in comparison.systems:
        methods = comparison.methods(system)
        known = next((method for method in methods if method.results), None)
        built = [None if known is None else known.train_mean(f"parameters_{kind}") for kind in ("trained", "total")]
        speed = comparison.speeds.get(system.model)
        costs = _costs(methods[comparison.groups.index(chosen)], speed)
        rows.append(
            (
                *(Cell(text) for text in (system.title, *map(millions, built))),
                *(Cell(text) for text in (system.pretraining, system.input_side, system.encodes_per)),
                *(Cell(show(costs[name]), value=costs[name]) for name, (_, show) in COST.items()),
            )
        )
        for group, method in zip(comparison.groups, methods, strict=True):
            costs = _costs(method, speed)
            measured = {name: None if value is None else round(value, 3) for name, value in costs.items()}
            about = {"pretraining": system.pretraining, "input_side": system.input_side}
            numbers.append(
                {"dataset": group.dataset, "system": system.title, "epochs": method.train_mean("epochs"), **measured}
                | {"parameters_trained": built[0], "parameters_total": built[1], **about}
                | {"encodes_per": system.encodes_per}
            )
    apart = " Swin and BERT have seen neither CLIP's pairing of images with words nor SAM's masks." * any(
        "Swin" in system.pretraining for system in comparison.systems
    )
    return Table(
        f"systems_cost{comparison.suffix}",
        Path(),
        titled("What the systems cost", comparison),
        ("system", "params trained", "params total", "pretraining", "input side (px)", "encodes each image once per",
         *(title for title, _ in COST.values())),
        tuple(rows),
        (
            f"Steps and memory of a training: means over seeds on {chosen.dataset}. s/step and images/s: of 4 images "
            "with 5 expressions each, in turns with RSRefSeg on one machine (docs/speed.md); the times of the runs "
            "themselves, whose machine had other work, are not compared. Input side: of CLIP's and of SAM's encoder, "
            f"where there are two.{apart}",
            *_training_notes(comparison),
            *missing_notes(comparison),
        ),
        pd.DataFrame(numbers),
    )  # fmt: skip


def _costs(method: Method, speed: Speed | None) -> dict[str, float | None]:
    costs: dict[str, float | None] = dict.fromkeys(COST)
    if method.results:
        costs |= {name: method.train_mean(name) for name in ("steps", "peak_memory_mb")}
    if speed is not None:
        costs |= {"seconds_per_step": speed.step, "images_per_second": speed.images}
    return costs


def _training_notes(comparison: Comparison) -> list[str]:
    """Whether the systems learnt from as much, and which settings of their trainings differ."""
    said = []
    for group in comparison.groups:
        amounts: dict[str, list[str]] = {}
        for method in group.present:
            amounts.setdefault(" or ".join(dict.fromkeys(map(_amount, method.results))), []).append(method.name)
        each = [f"{amount} ({', '.join(names)})" for amount, names in amounts.items()]
        said.append(f"{group.dataset}: {'; '.join(each) if len(each) > 1 else next(iter(amounts))}")
    equal = all(_alike(group, _amount) for group in comparison.groups)
    notes = [f"Training is {'as long for all' if equal else 'not as long for all'}. {'. '.join(said)}."]
    differing = {name for group in comparison.groups for name in _settings(group) if not _alike(group, _setting(name))}
    if differing:
        notes.append(
            f"Each has its own recipe; of `train` differ: {', '.join(sorted(differing))} (in each run's configuration)."
        )
    return notes


def _amount(stored: StoredResult) -> str:
    """How much a run learnt from."""
    train, settings, counts = stored.result.train, _train(stored), stored.result.data.counts.get("train")
    unit = {"images": "images", "pairs": "samples"}.get(str(settings.get("step_of")))
    seen = f", {train.epochs * getattr(counts, unit):,} {unit} seen" if unit and counts is not None else ""
    return f"{train.epochs} epochs, {train.steps:,} steps{seen}"


def _train(stored: StoredResult) -> dict[str, Any]:
    found: dict[str, Any] = stored.result.run.config.get("train", {})
    return found


def _settings(group: Group) -> set[str]:
    """Names of all settings of the trainings of a group."""
    return {name for method in group.present for stored in method.results for name in _train(stored)}


def _setting(name: str) -> Callable[[StoredResult], str]:
    return lambda stored: json.dumps(_train(stored).get(name), sort_keys=True)


def _alike(group: Group, what: Callable[[StoredResult], str]) -> bool:
    """Whether something is the same in all runs of a group."""
    return len({what(stored) for method in group.present for stored in method.results}) < 2
