"""Tables of mIoU by what a sample is like: its category, its object's size, its expression, its distractors."""

from __future__ import annotations

import pandas as pd

from benchmark.metrics.strata import STRATA, strata
from benchmark.results.store import ResultError
from reports.groups import Group
from reports.tables.main import clear_best, collapse_notes, folder_of, seeds_note
from reports.tables.rendering import MISSING, Cell, Table, percent

FEW = 30  # samples; below, a number is printed in brackets


def breakdown_tables(group: Group) -> list[Table]:
    """One table for each stratum, and one by category; those of which the dataset knows something."""
    if not group.present:
        return []
    lines, known = group.present[0].lines[0], strata(group.described)
    if missing := sorted(set(lines["sample_id"]) - set(known["sample_id"])):
        raise ResultError(f"{group.strata_path} lacks sample {missing[0]!r}; fetch the dataset again")
    described = lines.loc[lines["mask_area"] > 0, ["sample_id", "category"]].merge(known, on="sample_id")
    tables = []
    for name, (title, values) in {"category": ("category", _by_count(described["category"])), **STRATA}.items():
        if met := [value for value in values if (described[name] == value).any()]:
            tables.append(_table(group, name, title, met, described))
    return tables


def _table(group: Group, name: str, title: str, values: list[str], described: pd.DataFrame) -> Table:
    methods = [method for method in group.methods if not method.control]
    present = [method for method in methods if method.results]
    chosen_of = {value: described.loc[described[name] == value, "sample_id"] for value in values}
    found = group.mious_of(present, chosen_of)
    rows, numbers = [], []
    for value, chosen in chosen_of.items():
        bins = {method.title: found[value, method.key] for method in present}
        best = clear_best(
            {method.title: bins[method.title] for method in group.trained if method.results and not method.collapsed}
        )
        cells = [
            Cell(_few(percent(bins[method.title][0]), len(chosen)), bold=method.title == best)
            if method.title in bins
            else Cell(MISSING)
            for method in methods
        ]
        rows.append((Cell(value), Cell(f"{len(chosen):,}"), *cells))
        numbers += [
            {name: value, "samples": len(chosen), "variant": title}
            | {key: round(100 * part, 2) for key, part in zip(("miou", "low", "high"), parts, strict=True)}
            for title, parts in bins.items()
        ]
        numbers += [
            {name: value, "samples": len(chosen), "variant": method.title} for method in methods if not method.results
        ]
    notes = (
        f"mIoU in %. {seeds_note(group)} In brackets: of fewer than {FEW} samples. Bold: best trained variant, where "
        "its 95 % interval and the next one's do not overlap; the intervals are in the CSV file.",
        *collapse_notes(group),
    )
    return Table(
        f"by_{name}",
        folder_of(group),
        f"By {title} on {group.title}",
        (title, "samples", *(method.short_label for method in methods)),
        tuple(rows),
        notes,
        pd.DataFrame(numbers),
    )


def _few(text: str, samples: int) -> str:
    return f"({text})" if samples < FEW else text


def _by_count(values: pd.Series) -> list[str]:
    """The most frequent first, then by alphabet."""
    counts = values.dropna().value_counts()
    return sorted(counts.index, key=lambda value: (-counts[value], value))
