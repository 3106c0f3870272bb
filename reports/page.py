"""The report as one page that needs nothing else: no network, no other file. page.html is its template."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

from benchmark.output.secrets import masked
from benchmark.results.store import StoredResult
from reports.figures.plots import CAPTIONS
from reports.figures.systems import SYSTEMS, systems_captions
from reports.groups import COLLAPSED, Group
from reports.report import Report
from reports.tables.main import collapse_notes
from reports.tables.rendering import Table
from reports.templates import templates

HERE = Path(__file__).parent
PROTOCOL = HERE.parent / "benchmark" / "README.md"


@dataclass(frozen=True)
class Picture:
    """url: a data URL."""

    caption: str
    url: str
    wide: bool


@dataclass(frozen=True)
class Part:
    """One dataset and model on the page."""

    anchor: str
    title: str
    collapsed: Sequence[str]  # what is said of collapsed runs
    tables: Sequence[Table]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Configuration:
    """What a run was made with, as YAML."""

    title: str
    text: str


def render(
    report: Report,
    summary: Table,
    systems: Sequence[Table],
    tables: Mapping[tuple[str, str], Sequence[Table]],
    provenance: Table,
    figures: Path,
) -> str:
    """The page's HTML.

    Args:
        report: what is shown.
        summary: the first table of the page, of all datasets.
        systems: the tables of systems beside each other, which have a section before the groups.
        tables: (dataset, model) -> its tables.
        provenance: the last table of the page.
        figures: folder of the picture files, which are copied into the page.
    """
    parts = [
        Part(
            f"{group.dataset}-{group.model}",
            group.title,
            collapse_notes(group),
            tables[group.dataset, group.model],
            _pictures(group, figures),
        )
        for group in report.groups
    ]
    chosen = report.selection
    return (
        templates(HERE)
        .get_template("page.html")
        .render(
            parts=parts,
            summary=summary,
            systems=systems,
            systems_pictures=_systems_pictures(report, figures),
            collected=report.collected,
            provenance=provenance,
            run={name: getattr(chosen, name) for name in ("datasets", "models", "variants", "controls", "seeds")},
            version=", ".join(sorted({stored.result.protocol_version for stored in report.results})),
            configurations=[_configuration(stored) for stored in report.results],
            protocol=Markup(from_markdown(PROTOCOL.read_text(encoding="utf-8"))),
        )
        + "\n"
    )


def from_markdown(text: str) -> str:
    """Markdown with tables and $formulas$ -> HTML with MathML; its headings one level lower. Raw HTML is escaped."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").use(dollarmath_plugin, renderer=_math)
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + 1}"
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def _math(formula: str, options: Mapping[str, bool]) -> str:
    return convert(formula, display="block" if options["display_mode"] else "inline")


def _configuration(stored: StoredResult) -> Configuration:
    run, meta = stored.result.run, stored.result.meta
    content = {"configuration": masked(run.config), "made": meta.model_dump(mode="json")}
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True, default_flow_style=False)
    collapse = stored.result.collapse
    said = f" · collapsed: {collapse.title}" if collapse else ""
    return Configuration(f"{run.outside or run.variant} · {run.dataset} · {run.model} · {run.seed}{said}", text)


def _pictures(group: Group, figures: Path) -> list[Picture]:
    folder = figures / group.dataset / group.model
    also = f" {COLLAPSED}: with collapsed runs." if group.collapsed else ""
    named = {name: caption + also for name, caption in CAPTIONS.items()}
    return [Picture(caption, *found) for name, caption in named.items() if (found := _file(folder / name))]


def _systems_pictures(report: Report, figures: Path) -> list[Picture]:
    folder = figures / SYSTEMS
    return [
        Picture(caption, *found)
        for comparison in report.comparisons
        for name, caption in systems_captions(comparison).items()
        if (found := _file(folder / name))
    ]


def _file(path: Path) -> tuple[str, bool] | None:
    """A figure's file as a data URL, and whether it is a sheet of photographs, which are wide; None without one."""
    for suffix, kind, wide in ((".jpg", "jpeg", True), (".png", "png", False)):
        if (file := path.with_suffix(suffix)).is_file():
            return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}", wide
    return None
