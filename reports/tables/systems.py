"""The systems beside each other, one row a system across datasets, and ranked over them. systems_cost.py: at what cost.

Each is a pure function of a comparison.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.metrics.statistics import RESAMPLES
from reports.groups import COLLAPSED, Group, Method
from reports.report import Comparison
from reports.tables.comparisons import LEVEL, said_p, verdict_of
from reports.tables.main import (
    NO_VERDICT,
    SPREAD_NOTE,
    collapsed_runs,
    interval_note,
    listed,
    main_numbers,
    seeds_note,
    with_interval,
)
from reports.tables.rendering import MISSING, Cell, Table, signed

NO_RESULT = f"{MISSING} no result"


def systems_headline(comparison: Comparison) -> Table:
    """The README's: mIoU on each dataset and the mean rank."""
    rows, numbers = [], []
    for system in comparison.systems:
        methods, rank = comparison.methods(system), comparison.ranks.get(system.title)
        cells = [Cell(_miou(group, method)) for group, method in zip(comparison.groups, methods, strict=True)]
        if comparison.ranks:
            cells.append(Cell(MISSING if rank is None else _interval(*rank[:3])))
        rows.append((Cell(system.title), *cells))
        numbers.append(
            {"system": system.title, "mean_rank": None if rank is None else round(rank.mean, 2)}
            | {group.dataset: _percent(method) for group, method in zip(comparison.groups, methods, strict=True)}
        )
    ranks = f"Mean rank: over these datasets, of {len(comparison.ranked)} systems. " if comparison.ranks else ""
    return Table(
        f"systems_headline{comparison.suffix}",
        Path(),
        titled("Systems", comparison),
        (
            "system",
            *(group.dataset for group in comparison.groups),
            *(["mean rank [95 %]"] if comparison.ranks else []),
        ),
        tuple(rows),
        (
            f"Systems trained and evaluated by the same code, in size {comparison.size}, each by its main variant: "
            f"mIoU in % on the test splits. {seeds_of(comparison)} {_spread(comparison)}{_interval_note(comparison)} "
            f"{ranks}Differences, costs and the papers' numbers: docs/results.md.",
            *missing_notes(comparison),
            *failures(comparison),
        ),
        pd.DataFrame(numbers),
    )


def systems_table(comparison: Comparison) -> Table:
    """mIoU of each system on each dataset, and how far it is from the reference on the same samples."""
    reference = comparison.reference
    rows = []
    for system in comparison.systems:
        cells = [Cell(system.title)]
        for group, method in zip(comparison.groups, comparison.methods(system), strict=True):
            cells.append(Cell(_miou(group, method)))
            if reference is not None:
                cells.append(Cell("" if system is reference else _difference(comparison, group, method)))
        rows.append(tuple(cells))
    headings = [
        heading
        for group in comparison.groups
        for heading in (
            f"{group.dataset}: mIoU [95 %]",
            f"{group.dataset}: less {reference.title}" if reference else "",
        )
        if heading
    ]
    compared = ""
    if reference is not None:
        compared = (
            f" Beside it: the system less {reference.title} on the same samples, in percentage points, with its "
            "interval; p of that difference, permutation test over images (seeds averaged), corrected by Holm over "
            f"this table; better or worse where p is below {LEVEL:g} and the interval excludes 0, else inconclusive."
        )
    sizes = "; ".join(
        "{}: {:,} samples on {:,} images".format(group.dataset, *group.size) for group in comparison.groups
    )
    variants = "; ".join(f"{system.title}, {system.main} of {system.model}" for system in comparison.systems)
    return Table(
        f"systems{comparison.suffix}",
        Path(),
        titled("Systems on every dataset", comparison),
        ("system", *headings),
        tuple(rows),
        (
            f"mIoU in % of the test splits. {seeds_of(comparison)} {_spread(comparison)}{_interval_note(comparison)}"
            f"{compared} {sizes}. Main variants: {variants}.",
            *missing_notes(comparison),
            *failures(comparison),
        ),
        pd.concat([_numbers(comparison, group) for group in comparison.groups], ignore_index=True),
    )


def ranking_table(comparison: Comparison) -> Table | None:
    """Mean ranks over the datasets, of the systems that have results on all of them; None of fewer than two."""
    ranks = comparison.ranks
    if not ranks:
        return None
    order = sorted(ranks.items(), key=lambda item: item[1].mean)
    marked = {method.name for group in comparison.groups for method in group.collapsed}
    rows, numbers = [], []
    for title, rank in order:
        each = (Cell(f"{rank.ranks[group.dataset]:g}") for group in comparison.groups)
        name = f"{title} {COLLAPSED}" if title in marked else title
        rows.append((Cell(name), Cell(_interval(*rank[:3])), *each, Cell(f"{100 * rank.first:.1f} %")))
        numbers.append(
            {"system": title, "mean_rank": round(rank.mean, 4), "low": round(rank.low, 4), "high": round(rank.high, 4)}
            | {f"rank_{dataset}": value for dataset, value in rank.ranks.items()}
            | {"first": round(100 * rank.first, 2)}
        )
    left = [system.title for system in comparison.systems if system.title not in ranks]
    return Table(
        f"ranking{comparison.suffix}",
        Path(),
        titled("Systems ranked over datasets", comparison),
        ("system", "mean rank [95 %]", *(f"on {group.dataset}" for group in comparison.groups), "first"),
        tuple(rows),
        (
            f"Rank 1: the highest mIoU of {len(ranks)}. Interval: 95 %; images and seeds are drawn {RESAMPLES:,} "
            "times, on each dataset the same images for all systems, and all are ranked again (benchmark/README.md). "
            "first: share of the draws in which its mean rank is the lowest. It says how sure the ranks on these "
            "datasets are, and nothing of others.",
            *([f"Not ranked, for want of results on every dataset: {'; '.join(left)}."] if left else []),
            *failures(comparison),
        ),
        pd.DataFrame(numbers),
    )


def titled(title: str, comparison: Comparison) -> str:
    """A table's title, with the size that its systems are of where it is not the first."""
    return f"{title}, size {comparison.size}" if comparison.suffix else title


def _miou(group: Group, method: Method) -> str:
    if not method.results:
        return NO_RESULT
    return f"{with_interval(group, method)}{f' {COLLAPSED}' * bool(method.collapsed)}"


def _percent(method: Method) -> float | None:
    return round(100 * method.metrics["miou"], 2) if method.results else None


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _verdict(comparison: Comparison, group: Group, method: Method) -> str:
    if method.collapsed or (group.full is not None and group.full.collapsed):
        return NO_VERDICT
    return verdict_of(comparison.p_values[group.dataset, method.name][1], group.differences[method.name]["miou"])


def _difference(comparison: Comparison, group: Group, method: Method) -> str:
    if method.name not in group.differences:
        return MISSING
    value, low, high = (signed(part) for part in group.differences[method.name]["miou"])
    p = said_p(comparison.p_values[group.dataset, method.name][1])
    return f"{value} [{low}, {high}], p {p}: {_verdict(comparison, group, method)}"


def _numbers(comparison: Comparison, group: Group) -> pd.DataFrame:
    """The numbers of one dataset, a row a system."""
    table = main_numbers(group).rename(columns={"variant": "system"}).drop(columns="control")
    table.insert(0, "dataset", group.dataset)
    about = {system.title: {"model": system.model, "variant": system.main} for system in comparison.systems}
    rows = []
    for name in table["system"]:
        row: dict[str, str | float] = {**about[name]}
        for metric, values in group.differences.get(name, {}).items():
            ends = zip(("", "_low", "_high"), values, strict=True)
            row |= {f"difference_{metric}{end}": round(100 * value, 2) for end, value in ends}
        if (group.dataset, name) in comparison.p_values:
            p, adjusted = comparison.p_values[group.dataset, name]
            method = next(one for one in group.methods if one.name == name)
            row |= {"p": round(p, 5), "p_holm": round(adjusted, 5), "mark": _verdict(comparison, group, method)}
        rows.append(row)
    return pd.concat([table, pd.DataFrame(rows)], axis=1)


def seeds_of(comparison: Comparison) -> str:
    notes = list(dict.fromkeys(seeds_note(group) for group in comparison.groups))
    if len(notes) == 1:
        return notes[0]
    return f"Seeds: {'; '.join(f'{listed(group.seeds)} on {group.dataset}' for group in comparison.groups)}."


def _most_seeds(comparison: Comparison) -> Group:
    return max(comparison.groups, key=lambda group: len(group.seeds))


def _spread(comparison: Comparison) -> str:
    return SPREAD_NOTE * (len(_most_seeds(comparison).seeds) > 1)


def _interval_note(comparison: Comparison) -> str:
    return interval_note(_most_seeds(comparison))


def missing_notes(comparison: Comparison) -> list[str]:
    """Which results are not there, and what follows."""
    notes, gaps = [], []
    for system in comparison.systems:
        for group, method in zip(comparison.groups, comparison.methods(system), strict=True):
            if not method.results:
                some = len(method.missing_seeds) < len(group.seeds)
                of = f" of seed {listed(method.missing_seeds)}, so no mean" if some else ""
                gaps.append(f"{system.title} on {group.dataset}{of}")
    if gaps:
        notes.append(f"No result: {'; '.join(gaps)}.")
    if comparison.reference is None:
        notes.append("Nothing is compared with RSRefSeg, which has no result of this size.")
    if not comparison.ranks:
        notes.append("Nothing is ranked: fewer than two systems have results on every dataset.")
    if without := [system.title for system in comparison.known if system not in comparison.systems]:
        notes.append(f"No result on any of these datasets: {'; '.join(without)}.")
    if comparison.alone:
        notes.append(f"Not shown, for one system alone has results there: {', '.join(comparison.alone)}.")
    return notes


def failures(comparison: Comparison) -> list[str]:
    """Which runs collapsed, and what a reader must know of numbers over them."""
    runs = [f"{collapsed_runs(method)} on {group.dataset}" for group in comparison.groups for method in group.collapsed]
    notes = []
    if runs:
        notes.append(
            f"{COLLAPSED} Collapsed runs (benchmark/README.md): {'; '.join(runs)}. Means, intervals, differences, p "
            "and ranks are over those runs too and say that trainings failed, not what the system can do: no verdict "
            "is made of them."
        )
    if unknown := sum(group.unknown for group in comparison.groups):
        notes.append(
            f"Of {unknown} other runs it is only known that not all masks are empty: their masks were not kept."
        )
    return notes
