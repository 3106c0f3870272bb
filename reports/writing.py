"""The report written from the result files: tables, figures, page, and blocks of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table as ScreenTable

from benchmark.data.errors import SampleError, ends_with
from benchmark.data.files import replacing, write_all
from benchmark.output.escaping import code_span
from benchmark.output.escaping import markdown as escaped
from benchmark.output.terminal import plain, say, terminal
from benchmark.results.store import ResultError
from reports.figures.plots import save_all
from reports.figures.sheets import cases_of, readme_example
from reports.load import load_report
from reports.page import render
from reports.report import Report
from reports.tables.breakdowns import breakdown_tables
from reports.tables.comparisons import ablation_table, calibration_table, cost_table, protocols_table
from reports.tables.headline import headline_table, other_datasets, summary_table
from reports.tables.main import controls_table, explain_outside, main_table, provenance_table
from reports.tables.published import papers_table, published_table
from reports.tables.rendering import Table, markdown, save
from reports.tables.systems import ranking_table, systems_headline, systems_table
from reports.tables.systems_cost import systems_cost_table

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
IN_DOCUMENT = ("main", "ablation", "controls")  # the others are in reports/generated/
FIGURES = "reports/generated/figures"


def main(
    results: Path, generated: Path, params: Path, readme: Path | None, document: Path | None, runs: Path | None
) -> None:
    """Build tables, figures and the page; print the main tables."""
    with ends_with(ResultError, SampleError, FileNotFoundError):
        report, tables = build(results, generated, params, readme, document, runs)
    console = terminal()
    for group in report.groups:
        console.print(_screen(tables[group.dataset, group.model][0], console.width))
    console = terminal(soft_wrap=True)
    say(console, f"report: {generated / 'index.html'}")
    say(console, "runs:   mlflow ui --backend-store-uri sqlite:///mlflow.db")


def build(
    results: Path,
    generated: Path,
    params: Path,
    readme: Path | None = None,
    document: Path | None = None,
    runs: Path | None = None,
) -> tuple[Report, dict[tuple[str, str], list[Table]]]:
    """Write the report; what was there before stays until the new one is complete.

    Returns:
        The report, and (dataset, model) -> its tables, the main one first.

    Raises:
        FileNotFoundError: no results, no `runs` where they are asked for, no params.yaml, no README or document.
        ResultError: files that do not agree, or a README or document without its markers.
    """
    report = load_report(results, params, runs)
    tables = make_tables(report)
    headlines = [headline_table(group) for group in report.groups]
    texts = {readme: readme_block(report), document: document_block(report, tables)}
    written = {file: replace_block(file, text).encode() for file, text in texts.items() if file is not None}
    provenance, summary = provenance_table(report), summary_table(report)
    systems = systems_tables(report)
    headlines += [systems_headline(comparison) for comparison in report.comparisons]

    with (
        replacing(generated / "tables") as place,
        replacing(generated / "figures") as figures,
        replacing(generated / "index.html") as page,
    ):
        for table in [
            summary,
            provenance,
            *headlines,
            *systems,
            *(table for several in tables.values() for table in several),
        ]:
            save(table, place)
        save_all(report, figures)
        page.write_text(render(report, summary, systems, tables, provenance, figures), encoding="utf-8")
    write_all(written)
    return report, tables


def make_tables(report: Report) -> dict[tuple[str, str], list[Table]]:
    """(dataset, model) -> its tables, the main one first."""
    tables = {}
    for group in report.groups:
        candidates = [
            main_table(group),
            ablation_table(group),
            controls_table(group),
            *breakdown_tables(group),
            protocols_table(group),
            calibration_table(group),
            cost_table(group),
            published_table(group),
        ]
        tables[group.dataset, group.model] = [explain_outside(table) for table in candidates if table is not None]
    return tables


def systems_tables(report: Report) -> list[Table]:
    """The systems beside each other, as it is read; nothing where there are no two."""
    tables: list[Table | None] = []
    for comparison in report.comparisons:
        tables += [systems_table(comparison), ranking_table(comparison)]
        tables += [systems_cost_table(comparison), papers_table(comparison)]
    return [table for table in tables if table is not None]


def readme_block(report: Report) -> str:
    """Between the README's markers: what its picture is, the first group's headline, a line on each other group."""
    picture = readme_example(report)
    parts = []
    if picture is not None:
        group, example = picture
        main, others = group.main, [method for method in group.collapsed if method.name != group.main]
        also = " (some of whose runs collapsed)" if others else ""
        parts.append(
            f'The picture at the top: a test image of {code_span(group.dataset)}, "{escaped(example.expression)}", and '
            f"the mask of `{main}` in size {code_span(group.model)}, IoU {example.iou:.2f}. It is a chosen one: where "
            f"`{main}` gains most over the mean of the other variants{also}. Median, worst and random ones are in "
            "[docs/results.md](docs/results.md).\n"
        )
    parts.append(markdown(headline_table(report.groups[0])))
    if lines := other_datasets(report):
        parts.append(f"{lines}\n")
    parts += [markdown(systems_headline(comparison)) for comparison in report.comparisons]
    return "\n".join(parts)


def document_block(report: Report, tables: Mapping[tuple[str, str], Sequence[Table]]) -> str:
    """Between a document's markers: of every group the tables of IN_DOCUMENT, its examples, and how it was made."""
    parts = []
    if systems := systems_tables(report):
        parts.append("## Systems\n")
        parts += [f"**{escaped(table.title)}**\n\n{markdown(table)}" for table in systems]
    for group in report.groups:
        parts.append(f"## {escaped(group.title)}\n")
        variants = [method.name for method in group.trained if method.results]
        made = {"datasets": [group.dataset], "models": [group.model], "variants": variants}
        if variants:
            made["seeds"] = [str(seed) for seed in group.seeds]
        controls = [method.name for method in group.present if method.control]
        if not variants or not controls:  # a model that is never trained, or whose system has no baselines
            made["controls"] = controls
        settings = " ".join(f"-S 'run.{name}=[{','.join(values)}]'" for name, values in made.items())
        parts.append(f"Made by `dvc exp run {settings}`.\n")
        main, *others = tables[group.dataset, group.model]
        parts.append(markdown(main))
        parts += [f"**{escaped(table.title)}**\n\n{markdown(table)}" for table in others if table.name in IN_DOCUMENT]
        sheets = {}
        if any(not method.control for method in group.present):
            sheets["examples"] = "Examples, chosen before any model ran"
        if cases_of(group) is not None:
            sheets["cases"] = "Chosen by what came out: best gain over the other variants, worst loss, median, random"
        for name, title in sheets.items():
            parts.append(f"{title}:\n\n![{title}](../{FIGURES}/{group.dataset}/{group.model}/{name}.jpg)\n")
    return "\n".join(parts)


def replace_block(file: Path, block: str) -> str:
    """The file's text with `block` between its markers.

    Raises:
        FileNotFoundError: if the file does not exist.
        ResultError: unless each marker stands there once, in order.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    text = file.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ResultError(f"{file} must have the markers {BEGIN} and {END} once each, in this order; put them in")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n{END}{rest.split(END)[1]}"


def _screen(table: Table, width: int) -> ScreenTable:
    """The main table for a terminal; a narrow one leaves out what the files have."""
    left_out = () if width >= 130 else ("P@0.6", "P@0.7", "P@0.8", "BIoU", "params trained", "params total")
    columns = [place for place, name in enumerate(table.header) if name not in left_out]
    screen = ScreenTable(title=plain(table.title), box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for place in columns:
        screen.add_column(plain(table.header[place]), justify="right" if place else "left", no_wrap=bool(place))
    for number, row in enumerate(table.rows, start=1):
        cells = (plain(row[place].text, "bold" if row[place].bold else "") for place in columns)
        screen.add_row(*cells, end_section=number == table.rule_before)
    return screen
