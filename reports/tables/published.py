"""Our runs in the company of published numbers; published.csv has each with its source and what is known of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.metrics.iou import THRESHOLDS, precision_name
from benchmark.results.schema import METRICS, TEST_SPLIT
from benchmark.results.store import ResultError
from reports.groups import Group
from reports.tables.main import collapse_notes, folder_of
from reports.tables.rendering import MISSING, Cell, Table, percent

PUBLISHED = Path(__file__).parents[1] / "published.csv"
NAMES = {"refsegrs": "RefSegRS", "rrsisd": "RRSIS-D", "risbench": "RISBench"}  # of datasets, in published.csv


def published_table(group: Group, path: Path = PUBLISHED) -> Table | None:
    """Our runs with the published numbers of the same dataset; None where nobody published any.

    Raises:
        ResultError: the file of published numbers has other columns.
    """
    published = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = {"oiou": "oiou", "miou": "miou", **{precision_name(x): f"precision@{x:g}" for x in THRESHOLDS}}
    due = {"dataset", "split", "method", "source", "rerun", "reliability", "note", *columns.values()}
    if missing := sorted(due - set(published.columns)):
        raise ResultError(f"{path} lacks the column(s) {missing}")
    published = published[published["dataset"] == NAMES.get(group.dataset, "")]
    published = published[published["split"] != "val"]  # another split than ours, and said to be
    if published.empty:
        return None
    rows, numbers = [], []
    footnotes: dict[str, int] = {}
    for method in [method for method in group.present if not method.control]:
        cells = [Cell(percent(method.metrics[name])) for name in columns]
        rows.append((Cell(method.label), Cell("this run"), *cells))
        numbers.append({"method": method.title, "split": TEST_SPLIT, "ours": True}
                       | {name: round(100 * method.metrics[name], 2) for name in columns})  # fmt: skip
    ours = len(rows)
    for row in published.to_dict("records"):
        marks = [mark for mark, said in (
            ("re-run by others", row["rerun"] == "yes"), ("split unclear", row["split"] != TEST_SPLIT),
            ("unchecked", row["reliability"] != "table read"),
        ) if said]  # fmt: skip
        source = row["source"] + (f" ({row['note']})" if row["note"] else "")
        number = footnotes.setdefault(source, len(footnotes) + 1)
        rows.append(
            (
                Cell(row["method"]),
                Cell(f"[{number}]" + (f" {', '.join(marks)}" if marks else "")),
                *(Cell(row[column] or MISSING) for column in columns.values()),
            )
        )
        numbers.append({"method": row["method"], "split": row["split"], "ours": False, "marks": ", ".join(marks)}
                       | {name: float(row[column]) if row[column] else None for name, column in columns.items()}
                       | {"source": source})  # fmt: skip
    return Table(
        "published",
        folder_of(group),
        f"Beside the published on {group.title}",
        ("method", "source", *(METRICS[name].title for name in columns)),
        tuple(rows),
        (
            "In %. Published numbers follow the conventions and, where it says so, the splits of their authors; they "
            "are no comparison, only company (benchmark/README.md).",
            *(f"[{number}] {source}." for source, number in footnotes.items()),
            *collapse_notes(group),
        ),
        pd.DataFrame(numbers),
        rule_before=ours,
    )
