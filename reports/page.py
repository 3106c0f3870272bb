"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from reports.load import Group, Report
from reports.tables import Table

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Referring remote sensing image segmentation: results</title>
<link rel="icon" href="data:,">
<style>
  body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 72rem; margin: 0 auto; padding: 1rem; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; } h3 { margin-bottom: .3rem; }
  nav a { margin-right: 1rem; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
  th:first-child, td:first-child { text-align: left; }
  thead th { border-bottom: 2px solid #555; }
  .note { font-size: .8125rem; color: #444; max-width: 60rem; margin: .3rem 0; }
  .figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
  figure { margin: 0; } figcaption { font-size: .8125rem; color: #444; }
  img { max-width: 100%; height: auto; }
  figure.wide { overflow-x: auto; } figure.wide img { max-width: none; width: max(100%, 45rem); }
</style>
</head>
<body>
{% macro show(table) %}
<div class="scroll"><table>
<thead><tr>{% for name in table.header %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>{% for cell in row %}<td>{% if cell.bold %}<strong>{{ cell.text }}</strong>{% else %}{{ cell.text }}{% endif %}</td>
{%- endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% for note in table.notes %}
<p class="note">{{ note }}</p>
{% endfor %}
{% endmacro %}
<h1>Referring remote sensing image segmentation: results</h1>
<p>Protocol {{ protocol }}. In params.yaml, <code>run</code> now names
{% for name, values in run.items() %}
{{ name }} <code>{{ values | join(", ") }}</code>{{ "." if loop.last else ";" }}
{% endfor %}
Everything in <code>results/</code> is shown, whatever <code>run</code> made it.</p>
<nav>{% for part in parts %}<a href="#{{ part.anchor }}">{{ part.title }}</a>{% endfor %}
<a href="#provenance">Provenance</a></nav>
{% for part in parts %}
<h2 id="{{ part.anchor }}">{{ part.title }}</h2>
{% for table in part.tables %}
<h3>{{ table.title }}</h3>
{{ show(table) }}
{% endfor %}
<div class="figures">
{% for picture in part.pictures %}
<figure{{ " class=wide" if picture.wide }}>
<img src="data:image/png;base64,{{ picture.data }}" alt="{{ picture.caption }}"
width="{{ 1080 if picture.wide else 540 }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}
</div>
{% endfor %}
<h2 id="provenance">Provenance</h2>
{{ show(provenance) }}
</body>
</html>
"""

CAPTIONS = {
    "metrics": "mIoU and oIoU with 95 % bootstrap intervals",
    "precision": "Share of samples whose IoU reaches X",
    "training": "Training loss by step, validation mIoU by epoch",
    "examples": "Examples chosen by a rule before any model ran; the number is the sample's IoU",
}


@dataclass(frozen=True)
class Picture:
    caption: str
    data: str
    wide: bool


@dataclass(frozen=True)
class Part:
    """One dataset and model on the page."""

    anchor: str
    title: str
    tables: Sequence[Table]
    pictures: Sequence[Picture]


def render(report: Report, tables: Mapping[tuple[str, str], Sequence[Table]], provenance: Table, figures: Path) -> str:
    """The page's HTML.

    Args:
        report: what is shown.
        tables: (dataset, model) -> its tables.
        provenance: the last table of the page.
        figures: folder of the PNG files, which are copied into the page.
    """
    parts = [
        Part(
            f"{group.dataset}-{group.model}", group.title, tables[group.dataset, group.model], _pictures(group, figures)
        )
        for group in report.groups
    ]
    chosen = report.selection
    run = {name: getattr(chosen, name) for name in ("datasets", "models", "variants", "controls", "seeds")}
    versions = sorted({stored.result.protocol_version for stored in report.results})
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(TEMPLATE)
    return template.render(parts=parts, provenance=provenance, run=run, protocol=", ".join(versions)) + "\n"


def _pictures(group: Group, figures: Path) -> list[Picture]:
    folder = figures / group.dataset / group.model
    return [
        Picture(caption, base64.b64encode(path.read_bytes()).decode(), wide=name == "examples")
        for name, caption in CAPTIONS.items()
        if (path := folder / f"{name}.png").is_file()
    ]
