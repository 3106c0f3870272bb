"""The page of an audit: one file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmark.audit.audit import Audit
from benchmark.audit.findings import Occurrence
from benchmark.audit.mask_facts import HEAT
from benchmark.data.samples import Dataset, SampleError, decode_mask, read_image
from reports.audit.pictures import heat_map, thumbnail

SHOWN = 8  # samples of the dataset itself
CATEGORIES = 60  # the most frequent; the file has all

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ audit.dataset }}: what is in it</title>
<link rel="icon" href="data:,">
<style>
  body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 72rem; margin: 0 auto; padding: 1rem; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; } h3 { margin-bottom: .3rem; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
  th:first-child, td:first-child { text-align: left; font-weight: normal; }
  thead th, thead th:first-child { border-bottom: 2px solid #555; font-weight: bold; }
  .some td:nth-child(2) { font-weight: bold; }
  .note { font-size: .8125rem; color: #444; max-width: 60rem; margin: .3rem 0; }
  .figures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
  .cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1rem; }
  .case.pair { grid-column: span 2; } .pair .pictures { display: flex; gap: .3rem; }
  figure { margin: 0; min-width: 0; }
  figcaption { font-size: .8125rem; color: #444; overflow-wrap: anywhere; }
  figcaption q { color: #1a1a1a; }
  img { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a; }
  .heat { border: 1px solid #999; }
  @media (max-width: 34rem) { .case.pair { grid-column: span 1; } .pair .pictures { flex-direction: column; } }
</style>
</head>
<body>
{% macro bars(title, values) %}
{% set most = [values | map(attribute="count") | max, 1] | max %}
<figure><figcaption>{{ title }}</figcaption>
<svg role="img" aria-label="{{ title }}" width="340" height="{{ 20 * values | length }}">
{% for bar in values %}
<text x="108" y="{{ 20 * loop.index0 + 14 }}" text-anchor="end">{{ bar.label }}</text>
<rect x="114" y="{{ 20 * loop.index0 + 3 }}" width="{{ "%.1f" | format(165 * bar.count / most) }}" height="14" \
fill="#0072b2"/>
<text x="{{ "%.1f" | format(118 + 165 * bar.count / most) }}" y="{{ 20 * loop.index0 + 14 }}">{{ number(bar.count) }}
</text>
{% endfor %}
</svg></figure>
{% endmacro %}
{% macro case(one) %}
<figure class="case{{ " pair" if one.pictures | length > 1 }}">
<div class="pictures">{% for picture in one.pictures %}<img src="{{ picture }}" alt="{{ one.name }}">
{%- endfor %}</div>
<figcaption>{% for text in one.expressions %}<q>{{ text }}</q><br>{% endfor %}{{ one.name }}
{%- if one.detail %}<br>{{ one.detail }}{% endif %}</figcaption></figure>
{% endmacro %}
<h1>{{ audit.dataset }}: what is in it, and what deserves a look</h1>
<p>{{ number(audit.samples) }} samples of {{ number(audit.images) }} images. Source: {{ manifest.source }}; licence:
{{ manifest.licence }}. A finding is no verdict: its rule says how it was found, its examples what was found. All
numbers are in <code>audit.json</code> beside this page.</p>
<h2 id="findings">Findings</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">finding</th><th scope="col">cases</th><th scope="col">checked</th>
<th scope="col">share</th></tr></thead>
<tbody>
{% for finding, _ in findings %}
<tr{{ " class=some" if finding.count }}><td>{% if finding.count %}
<a href="#finding-{{ loop.index }}">{{ finding.name }}</a>{% else %}{{ finding.name }}{% endif %}</td>
{% if finding.checked %}
<td>{{ number(finding.count) }}</td><td>{{ number(finding.checked) }}</td>
<td>{{ "%.2f" | format(100 * finding.count / finding.checked) }} %</td>
{% else %}
<td>–</td><td>not checked</td><td>–</td>
{% endif %}
</tr>
{% endfor %}
</tbody></table></div>
<p class="note">{{ number(audit.positioned) }} expressions ({{ "%.1f" | format(100 *
audit.positioned / audit.samples) }} %) state an absolute place in the image, in words that leave hardly another
reading.</p>
<h2 id="content">Content</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">split</th><th scope="col">samples</th><th scope="col">images</th>
<th scope="col">categories</th><th scope="col">expressions per image</th><th scope="col">at most</th>
<th scope="col">median mask area</th><th scope="col">words</th><th scope="col">empty masks</th></tr></thead>
<tbody>
{% for name, split in audit.splits.items() %}
<tr><td>{{ name }}</td><td>{{ number(split.samples) }}</td><td>{{ number(split.images) }}</td>
<td>{{ split.categories }}</td><td>{{ "%.2f" | format(split.mean_per_image) }}</td><td>{{ split.most_per_image }}</td>
<td>{{ "%.2f" | format(100 * split.median_area) }} %</td><td>{{ "%.1f" | format(split.mean_words) }}</td>
<td>{{ number(split.empty_masks) }}</td></tr>
{% endfor %}
</tbody></table></div>
<div class="figures">
{{ bars("Mask area, share of the image", audit.mask_area) }}
{{ bars("Expression length, words", audit.words) }}
{{ bars("Expressions per image", audit.per_image) }}
<figure><figcaption>Where masks lie</figcaption>
<img class="heat" src="{{ heat }}" width="320" height="320"
alt="{{ cells }} x {{ cells }} cells of the image; the darker, the more masks cover it">
<figcaption>white: no mask, darkest: {{ "%.1f" | format(100 * most) }} % of masks</figcaption></figure>
{% if audit.frequent_words %}
{{ bars("Most frequent words, expressions they are in", audit.frequent_words) }}
{% endif %}
</div>
<h3>Categories</h3>
<div class="scroll"><table>
<thead><tr><th scope="col">category</th>{% for split in audit.splits %}<th scope="col">{{ split }}</th>
<th scope="col">images</th>{% endfor %}</tr></thead>
<tbody>
{% for name, counts in categories %}
<tr><td>{{ name or "(none)" }}</td>
{% for split in audit.splits %}
{% set here = counts.get(split, {"samples": 0, "images": 0}) %}
<td>{{ number(here["samples"]) }}</td><td>{{ number(here["images"]) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% if unlisted %}<p class="note">{{ number(unlisted) }} rarer ones are in audit.json.</p>{% endif %}
<h3>Some samples</h3>
<p class="note">In order of SHA-256 of sample_id, one of each image.</p>
<div class="cases">{% for one in shown %}{{ case(one) }}{% endfor %}</div>
{% for finding, cases in findings %}
{% if finding.count %}
<h2 id="finding-{{ loop.index }}">{{ finding.name }}: {{ number(finding.count) }} {{ finding.unit }}</h2>
<p class="note">{{ finding.rule }}{% if cases | length < finding.count %}
 {{ cases | length }} of them, {{ finding.order }}:{% endif %}</p>
<div class="cases">{% for one in cases %}{{ case(one) }}{% endfor %}</div>
{% endif %}
{% endfor %}
</body>
</html>
"""


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
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    listed = list(audit.categories.items())
    return (
        environment.from_string(TEMPLATE).render(
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
            pictures.append(thumbnail(read_image(dataset.images / image), mask))
        except (SampleError, FileNotFoundError):
            continue  # the caption says why, where that is what was found
    name = ", ".join(dict.fromkeys(example.sample_ids or example.images))
    return Case(name, tuple(dict.fromkeys(str(row["expression"]) for row in of)), example.detail, tuple(pictures))
