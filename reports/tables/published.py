"""Our runs, and the systems, in the company of published numbers; published.csv has each with its source and what is
known of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd

from benchmark.metrics.iou import THRESHOLDS, precision_name
from benchmark.results.schema import METRICS, TEST_SPLIT
from benchmark.results.store import ResultError
from reports.groups import Group
from reports.report import Comparison
from reports.tables.main import collapse_notes, folder_of
from reports.tables.rendering import MISSING, Cell, Table, percent

PUBLISHED = Path(__file__).parents[1] / "published.csv"
NAMES = {"refsegrs": "RefSegRS", "rrsisd": "RRSIS-D", "risbench": "RISBench"}  # of datasets, in published.csv


COLUMNS = {"oiou": "oiou", "miou": "miou", **{precision_name(x): f"precision@{x:g}" for x in THRESHOLDS}}  # of the file
TITLES = tuple(METRICS[name].title for name in COLUMNS)


def load_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """The published numbers that are not of a validation split, which is another than ours; all as text.

    Raises:
        ResultError: the file has other columns.
    """
    published = pd.read_csv(path, dtype=str, keep_default_na=False)
    due = {"dataset", "split", "method", "source", "rerun", "reliability", "note", *COLUMNS.values()}
    if missing := sorted(due - set(published.columns)):
        raise ResultError(f"{path} lacks the column(s) {missing}")
    return published[published["split"] != "val"]


class Sources:
    """Published numbers in print; their sources are numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cells(self, row: Mapping[Hashable, str]) -> tuple[Cell, ...]:
        """Source with what is known of the number, and the number in each metric."""
        number = self._numbers.setdefault(source_of(row), len(self._numbers) + 1)
        said = f"[{number}] {', '.join(marks_of(row))}".strip()
        return (Cell(said), *(Cell(row[column] or MISSING) for column in COLUMNS.values()))

    @property
    def notes(self) -> list[str]:
        """What each number stands for."""
        return [f"[{number}] {source}." for source, number in self._numbers.items()]


def marks_of(row: Mapping[Hashable, str]) -> list[str]:
    """What a reader must know of a published number."""
    marks = {
        "re-run by others": row["rerun"] == "yes",
        "split unclear": row["split"] != TEST_SPLIT,
        "unchecked": row["reliability"] != "table read",
    }
    return [mark for mark, true in marks.items() if true]


def source_of(row: Mapping[Hashable, str]) -> str:
    """Where a published number stands."""
    return row["source"] + (f" ({row['note']})" if row["note"] else "")


def numbers_of(row: Mapping[Hashable, str]) -> dict[str, str | float | None]:
    """A published number for CSV."""
    values = {name: float(row[column]) if row[column] else None for name, column in COLUMNS.items()}
    return {"marks": ", ".join(marks_of(row)), **values, "source": source_of(row)}


def published_table(group: Group, path: Path = PUBLISHED) -> Table | None:
    """Our runs with the published numbers of the same dataset; None where nobody published any.

    Raises:
        ResultError: the file of published numbers has other columns.
    """
    published = load_published(path)
    published = published[published["dataset"] == NAMES.get(group.dataset, "")]
    if published.empty:
        return None
    rows: list[tuple[Cell, ...]] = []
    numbers: list[dict[str, object]] = []
    for method in [method for method in group.present if not method.control]:
        cells = [Cell(percent(method.metrics[name])) for name in COLUMNS]
        rows.append((Cell(method.label), Cell("this run"), *cells))
        numbers.append({"method": method.title, "split": TEST_SPLIT, "ours": True}
                       | {name: round(100 * method.metrics[name], 2) for name in COLUMNS})  # fmt: skip
    ours, sources = len(rows), Sources()
    for row in published.to_dict("records"):
        rows.append((Cell(row["method"]), *sources.cells(row)))
        numbers.append({"method": row["method"], "split": row["split"], "ours": False, **numbers_of(row)})
    return Table(
        "published",
        folder_of(group),
        f"Beside the published on {group.title}",
        ("method", "source", *TITLES),
        tuple(rows),
        (
            "In %. Published numbers follow the conventions and, where it says so, the splits of their authors; they "
            "are no comparison, only company (benchmark/README.md).",
            *sources.notes,
            *collapse_notes(group),
        ),
        pd.DataFrame(numbers),
        rule_before=ours,
    )


def papers_table(comparison: Comparison) -> Table:
    """What papers give for these systems, apart from ours."""
    names = tuple(dict.fromkeys(system.system for system in comparison.systems))
    rows, numbers, sources = [], [], Sources()
    for row in load_published().to_dict("records"):
        if any(row["method"] == name or row["method"].startswith((f"{name}-", f"{name} (")) for name in names):
            rows.append((Cell(row["method"]), Cell(row["dataset"]), Cell(row["split"]), *sources.cells(row)))
            numbers.append(
                {"method": row["method"], "dataset": row["dataset"], "split": row["split"], **numbers_of(row)}
            )
    return Table(
        f"papers{comparison.suffix}",
        Path(),
        "What papers give for these systems: not comparable with the above",
        ("method", "dataset", "split", "source", *TITLES),
        tuple(rows),
        (
            "In %. None of these may be set against a number of this project, nor, where sources differ, against "
            "each other: sizes, pretraining, recipes, conventions and in part splits are their authors' "
            "(benchmark/README.md). LAVT's were trained by others, by a recipe that is not stated; the released code "
            "of RSRefSeg 2 chooses its epoch on the test split.",
            *sources.notes,
        ),
        pd.DataFrame(numbers),
    )
