"""The main tables: results, gains over the training-free baselines, provenance.

Best is bold by the direction declared with each metric, among trained variants only, and only where its interval
overlaps no other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.metrics.iou import NO_TARGET
from benchmark.metrics.statistics import many_differences
from benchmark.results.schema import METRICS
from benchmark.results.store import StoredResult
from reports.groups import COLLAPSED, OUTSIDE, Group, Method, kinds_of
from reports.report import Report
from reports.tables.rendering import MISSING, Cell, Table, duration, millions, percent, signed

NO_TARGET_NOTE = "N-acc: share of the no-target samples that get an empty prediction; they count for no other metric."
OUTSIDE_NOTE = f"{OUTSIDE}: external submission; its masks were scored here, nothing else is known of it."
NO_VERDICT = "collapsed"  # where a verdict would stand
BOLD_NOTE = " Bold: best trained variant of the column, whose interval overlaps no other's."
SPREAD_NOTE = "± standard deviation over seeds. "
NOTES = {  # what a reader must know of a method beside its name
    "local_only": "local_only has no sentence embedding for a dense prompt: its dense prompt is the mean token logit.",
}


def main_table(group: Group) -> Table:
    """Methods x metrics and cost."""
    metrics = _metrics(group)
    header = ("variant", "mIoU [95 %]", *(METRICS[name].title for name in metrics if name != "miou"))
    header += ("params trained", "params total", "training time")
    best = {}
    for metric in metrics:
        trained = [method for method in group.trained if metric in method.metrics and not method.collapsed]
        values = {method.title: (method.metrics[metric], *group.intervals[method.key][metric]) for method in trained}
        best[metric] = clear_best(values, METRICS[metric].higher_is_better)
    rows = []
    for method in group.methods:
        cells = [Cell(method.label)]
        for metric in metrics:
            text = MISSING
            if metric in method.metrics:
                text = with_interval(group, method) if metric == "miou" else percent(method.metrics[metric])
            cells.append(Cell(text, bold=best[metric] == method.title))
        cells += [Cell(millions(method.train_mean(f"parameters_{kind}"))) for kind in ("trained", "total")]
        seconds = method.train_mean("seconds")
        cells.append(Cell(duration(seconds), value=seconds))
        rows.append(tuple(cells))
    samples, images = group.size
    notes = [
        f"Test split: {samples:,} samples on {images:,} images, in %. {seeds_note(group)} "
        f"{SPREAD_NOTE * (len(group.seeds) > 1)}{interval_note(group)} P@X: share of samples with IoU ≥ X. BIoU: "
        "mean boundary IoU. Below the variants stand the training-free baselines."
        + BOLD_NOTE
        * any(name is not None for name in best.values()),
        *([NO_TARGET_NOTE] if NO_TARGET in metrics else []),
        *method_notes(group),
        *collapse_notes(group),
    ]
    variants = sum(not method.control and not method.outside for method in group.methods)
    return Table(
        "main",
        folder_of(group),
        f"Results on {group.title}",
        header,
        tuple(rows),
        tuple(notes),
        main_numbers(group),
        rule_before=variants,
    )


def controls_table(group: Group) -> Table | None:
    """What each trained variant gains over each control in mIoU, paired by sample; None without any control."""
    controls = [method for method in group.methods if method.control]
    if not any(control.results for control in controls):
        return None
    rows: list[tuple[Cell, ...]] = []
    numbers: list[list[str | float | None]] = []
    pairs = [(variant, control) for variant in group.trained for control in controls]
    gains = many_differences(
        (((one.key, other.key), (one.lines, other.lines)) for one, other in pairs if one.results and other.results),
        ("miou",),
        over_seeds=True,
    )
    for variant in group.trained:
        cells = [Cell(variant.label)]
        beaten: list[bool | None] = []
        for control in controls:
            if (variant.key, control.key) not in gains:
                cells.append(Cell(MISSING))
                beaten.append(None)
                numbers.append([variant.name, control.name, None, None, None])
                continue
            difference, low, high = gains[variant.key, control.key]["miou"]
            cells.append(Cell(f"{signed(difference)} [{signed(low)}, {signed(high)}]"))
            beaten.append(low > 0)
            numbers.append([variant.name, control.name, *(round(100 * value, 2) for value in (difference, low, high))])
        verdict = MISSING if None in beaten else ("yes" if all(beaten) else "no")
        if variant.collapsed:
            verdict = NO_VERDICT
        rows.append((*cells, Cell(verdict)))
    over = "seeds and images" if len(group.seeds) > 1 else "images"
    notes = (
        "mIoU of the variant less mIoU of the baseline on the same samples, in percentage points, with its 95 % "
        f"interval (bootstrap over {over}, both sides under the same draw of images). A variant beats every baseline "
        "if all its intervals lie above zero.",
        *collapse_notes(group),
    )
    return Table(
        "controls",
        folder_of(group),
        f"Gain over the training-free baselines on {group.title}",
        ("variant", *(f"over {control.name}" for control in controls), "beats every baseline"),
        tuple(rows),
        notes,
        pd.DataFrame(numbers, columns=["variant", "control", "difference", "low", "high"]),
    )


def provenance_table(report: Report) -> Table:
    """Where each result was made, and whether the current `run` of params.yaml names it."""
    header = (
        "dataset",
        "model",
        "variant",
        "seed",
        "in run.*",
        "collapsed",
        "commit",
        "fingerprint",
        "protocol",
        "device",
    )
    rows = []
    for stored in report.results:
        run, meta = stored.result.run, stored.result.meta
        commit = (
            "not in git" if meta.git_commit is None else meta.git_commit[:10] + (" + changes" if meta.git_dirty else "")
        )
        current = "yes" if report.selection.names(stored) else "no"
        fields = (
            run.dataset,
            run.model,
            run.variant,
            str(run.seed),
            current,
            _collapsed(stored),
            commit,
            run.fingerprint,
        )
        rows.append((*fields, stored.result.protocol_version, meta.device))
    notes = [
        "in run.*: whether run in params.yaml names it now. + changes: the code differed from that commit. "
        "collapsed: what the masks of the run collapsed to, with the share measured; unknown: not all are empty, "
        "and the masks that would tell more were not kept; training-free baselines cannot collapse."
    ]
    if absent := report.absent:
        notes.append("Named by run but without a result: " + ", ".join(" · ".join(key) for key in absent) + ".")
    return Table(
        "provenance",
        Path(),
        "Provenance",
        header,
        tuple(tuple(Cell(text) for text in row) for row in rows),
        tuple(notes),
        pd.DataFrame(rows, columns=list(header)),
    )


def clear_best(values: Mapping[str, tuple[float, float, float]], higher_is_better: bool = True) -> str | None:
    """Which of name -> (value, low, high) is best; None of fewer than two, or where its interval overlaps another's."""
    if len(values) < 2:
        return None
    sign = 1 if higher_is_better else -1
    ends = {name: sorted((sign * low, sign * high)) for name, (_, low, high) in values.items()}
    best = max(values, key=lambda name: sign * values[name][0])
    return best if all(ends[best][0] > ends[name][1] for name in values if name != best) else None


def explain_outside(table: Table) -> Table:
    """The table with a note on OUTSIDE, if a method so marked is in it."""
    texts = [*table.header, *(cell.text for row in table.rows for cell in row)]
    marked = any(OUTSIDE in text for text in texts)
    return replace(table, notes=(*table.notes, OUTSIDE_NOTE)) if marked else table


def with_interval(group: Group, method: Method) -> str:
    """mIoU with its spread over seeds, where there are several, and its interval."""
    low, high = group.intervals[method.key]["miou"]
    spread = f" ± {percent(method.deviation('miou'))}" if len(method.results) > 1 else ""
    return f"{percent(method.metrics['miou'])}{spread} [{percent(low)}, {percent(high)}]"


def main_numbers(group: Group) -> pd.DataFrame:
    """Of every method: each metric in % with its spread and interval, its seeds, collapsed runs and costs."""
    rows = []
    for method in group.methods:
        row: dict[str, str | float | int | None] = {"variant": method.title, "control": str(method.control).lower()}
        row["collapsed"] = len(method.collapsed) if method.results else None
        row["seeds"] = " ".join(str(one.result.run.seed) for one in method.results) or None
        for metric in _metrics(group):
            low, high = group.intervals.get(method.key, {}).get(metric, (None, None))
            deviation = method.deviation(metric) if metric in method.metrics and len(method.results) > 1 else None
            for name, value in (("", method.metrics.get(metric)), ("_std", deviation), ("_low", low), ("_high", high)):
                row[metric + name] = None if value is None else round(100 * value, 2)
        for field in ("parameters_trained", "parameters_total", "seconds"):
            mean = method.train_mean(field)
            row[f"train_{field}"] = None if mean is None else round(mean, 2)
        rows.append(row)
    return pd.DataFrame(rows)


def _metrics(group: Group) -> list[str]:
    """The metrics of a group's data; no-target accuracy only where there are such samples."""
    return [name for name in METRICS if any(name in method.metrics for method in group.present)]


def method_notes(group: Group) -> list[str]:
    """What must be said of single methods: of what they are, and of what is missing."""
    notes = [NOTES[method.name] for method in group.present if method.name in NOTES]
    for method in group.methods:
        if method.missing_seeds and len(group.seeds) > len(method.missing_seeds):
            notes.append(f"{method.name}: no result for seed {listed(method.missing_seeds)}, so no mean.")
    return notes


def collapse_notes(group: Group) -> list[str]:
    """Which runs collapsed, and what a reader must know of numbers over them; nothing where none did."""
    notes = []
    if group.collapsed:
        runs = "; ".join(collapsed_runs(method) for method in group.collapsed)
        against = " Nothing is compared with the full model, which has some itself." * bool(
            group.full and group.full.collapsed
        )
        notes.append(
            f"Collapsed runs (benchmark/README.md): {runs}. The means, spreads, intervals, differences and p of these "
            "methods are over those runs too and say that trainings failed, not what the method can do: no verdict "
            f"is made of them, and none is shown as best.{against} {COLLAPSED} in pictures and wide tables: such a "
            "method."
        )
    if group.unknown:
        notes.append(
            f"Of {group.unknown} other runs it is only known that not all masks are empty: their masks were not kept."
        )
    return notes


def collapsed_runs(method: Method) -> str:
    """Which runs of a method collapsed, for example "no_lora, seeds 0, 2 (empty masks)"; an external submission has no
    seed."""
    seeds = [stored.result.run.seed for stored in method.collapsed]
    which = "its only run" if method.outside is not None else f"seed{'s' * (len(seeds) > 1)} {listed(seeds)}"
    return f"{method.title}, {which} ({kinds_of(method.collapsed)})"


def _collapsed(stored: StoredResult) -> str:
    """What a run collapsed to with its share in %, "no", "unknown", or MISSING of a control."""
    if stored.result.run.control:
        return MISSING
    collapse = stored.result.collapse
    return stored.collapsed if collapse is None else f"{collapse.kind} ({100 * collapse.share:.1f} %)"


def folder_of(group: Group) -> Path:
    """Where the group's tables lie under tables/."""
    return Path(group.dataset) / group.model


def interval_note(group: Group) -> str:
    """What a table's intervals are over."""
    return f"Interval: 95 %, bootstrap over {'seeds and images' if len(group.seeds) > 1 else 'images'}."


def seeds_note(group: Group) -> str:
    """Which seeds a table is of."""
    if len(group.seeds) > 1:
        return f"Mean over seeds {listed(group.seeds)}."
    return f"Seed {group.seeds[0]}." if group.seeds else "No trained variant."


def listed(values: Sequence[int]) -> str:
    """For example "0, 1, 2"."""
    return ", ".join(str(value) for value in values)
