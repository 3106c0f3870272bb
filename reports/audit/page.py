"""The page of an audit: one file that needs nothing else, neither network nor scripts. page.html is its template."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.audit.audit import Audit
from benchmark.audit.findings import Occurrence
from benchmark.audit.mask_facts import HEAT
from benchmark.data.samples import Dataset, SampleError, decode_mask
from reports.audit.pictures import heat_map, thumbnail
from reports.templates import templates

SHOWN = 8  # samples of the dataset itself
CATEGORIES = 60  # the most frequent; the file has all


@dataclass(frozen=True)
class Case:
    """What the page shows of an example; pictures: data URIs, none of what cannot be read."""

    name: str
    expressions: tuple[str, ...]
    detail: str
    pictures: tuple[str, ...]


def render(audit: Audit, dataset: Dataset) -> str:
    """The page's HTML; reads the images of the examples, and of a few samples."""
    wanted = {sample_id for finding in audit.findings for one in finding.examples for sample_id in one.sample_ids}
    samples = dataset.samples
    chosen = _chosen(dataset)
    wanted.update(chosen)
    columns = ["sample_id", "image", "height", "width", "expression", "mask"]
    rows: dict[str, Mapping[Hashable, Any]] = {
        str(row["sample_id"]): row for row in samples.loc[samples["sample_id"].isin(wanted), columns].to_dict("records")
    }
    findings = [(finding, [_case(dataset, rows, one) for one in finding.examples]) for finding in audit.findings]
    shown = [
        _case(dataset, rows, Occurrence((sample_id,), (str(rows[sample_id]["image"]),), "")) for sample_id in chosen
    ]
    environment = templates(Path(__file__).parent)
    listed = list(audit.categories.items())
    return (
        environment.get_template("page.html").render(
            audit=audit,
            manifest=dataset.manifest,
            findings=findings,
            shown=shown,
            categories=listed[:CATEGORIES],
            unlisted=max(0, len(listed) - CATEGORIES),
            heat=heat_map(audit.heat),
            cells=HEAT,
            most=max(max(row) for row in audit.heat),
            number=lambda value: f"{value:,}",
        )
        + "\n"
    )


def _chosen(dataset: Dataset) -> list[str]:
    """sample_ids by a rule that looks at nothing but names."""
    names = dataset.samples.drop_duplicates("image")["sample_id"]
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:SHOWN]


def _case(dataset: Dataset, rows: Mapping[str, Mapping[Hashable, Any]], example: Occurrence) -> Case:
    of = [rows[sample_id] for sample_id in example.sample_ids]
    pictures = []
    for number, image in enumerate(example.images):
        mask = decode_mask(of[number]["mask"], of[number]["height"], of[number]["width"]) if of else None
        try:
            pictures.append(thumbnail(dataset.pixels(image), mask))
        except (SampleError, FileNotFoundError):
            continue  # the caption says why, where that is what was found
    name = ", ".join(dict.fromkeys(example.sample_ids or example.images))
    return Case(name, tuple(dict.fromkeys(str(row["expression"]) for row in of)), example.detail, tuple(pictures))
