"""A dataset audited: the page, its numbers, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmark.audit.audit import Audit, Box, audit
from benchmark.data.files import write_all
from benchmark.data.samples import Dataset
from benchmark.output.terminal import plain, progress_bar, say, terminal
from experiments.config import dataset_config, load_params, open_dataset, source_of
from experiments.errors import clear_errors
from reports.audit.page import render

REPORTS = Path("reports/generated/audit")
Opened = tuple[Dataset, Mapping[str, Box] | None, tuple[int, int] | None]


def opened(dataset: str) -> Opened:
    """A dataset of params.yaml that was fetched, its published boxes and its declared height and width, if any.

    Raises ConfigError for an unknown one, FileNotFoundError for one that was not fetched.
    """
    params = load_params()
    found = open_dataset(params, dataset)
    source = source_of(params, dataset)
    boxes = source.boxes(dataset_config(params, dataset)) if source.boxes is not None else None
    return found, boxes, source.spec.image_size if source.spec is not None else None


def write_audit(folder: Path, found: Audit, dataset: Dataset) -> Path:
    """index.html and audit.json, both or none. Returns the page's path."""
    texts = {
        "audit.json": json.dumps(found.plain(), indent=2, ensure_ascii=False) + "\n",
        "index.html": render(found, dataset),
    }
    write_all({folder / name: text.encode() for name, text in texts.items()})
    return folder / "index.html"


def print_summary(console: Console, found: Audit) -> None:
    """One line for each finding."""
    splits = ", ".join(f"{name} {facts.samples:,}" for name, facts in found.splits.items())
    title = f"{found.dataset}: {found.samples:,} samples ({splits}) of {found.images:,} images"
    table = Table(box=SIMPLE, title=plain(title), title_justify="left")
    table.add_column("finding", no_wrap=True)
    for column in ("cases", "checked", "unit"):
        table.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    for finding in found.findings:
        cases = f"{finding.count:,}" if finding.checked else "–"
        style = "yellow" if finding.count else None
        table.add_row(plain(finding.name), cases, f"{finding.checked:,}", plain(finding.unit), style=style)
    console.print(table)


def main(dataset: str, out: Path | None, workers: int) -> None:
    """Audit one dataset."""
    with clear_errors():
        data, boxes, image_size = opened(dataset)
        with progress_bar(terminal(stderr=True), transient=True) as bar:
            task = bar.add_task(f"{dataset}: images and masks", total=None)
            found = audit(
                data,
                boxes=boxes,
                image_size=image_size,
                workers=workers,
                progress=lambda done, whole: bar.update(task, completed=done, total=whole),
            )
        page = write_audit(REPORTS / dataset if out is None else out, found, data)
        print_summary(terminal(), found)
        say(terminal(soft_wrap=True), f"-> {page}")
