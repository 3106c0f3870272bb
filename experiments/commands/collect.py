"""Result files -> MLflow, and back out of it into one table."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image

from benchmark.data.files import replacing
from benchmark.metrics.iou import METRIC_NAMES
from benchmark.output.escaping import csv_table, markdown
from benchmark.output.secrets import mask, masked
from benchmark.output.terminal import say, terminal
from benchmark.results.pictures import read_examples, strip
from benchmark.results.schema import METRICS, TEST_SPLIT, Result
from benchmark.results.store import (
    NOT_COLLAPSED,
    ResultError,
    StoredResult,
    check_place,
    find_folders,
    load_curve,
    load_document,
    load_result,
    run_key,
)
from benchmark.results.truth import load_examples
from experiments.errors import clear_errors
from experiments.records import DESCRIPTION_TAG, KEY_TAGS, Record, curves_of, record_of, title
from experiments.tracked import SHA256_TAG, TrackedRun
from experiments.tracking import Key, TrackingError, TrackingStore, is_new

LAYOUT = "4"  # of what is logged; a new one replaces every run
FILES = ("result.json", "samples.parquet", "sweep.parquet", "predictions.parquet", "curve.csv")
TAG_COLUMNS = (
    "dataset",
    "model",
    "variant",
    "seed",
    "control",
    "collapsed",
    "protocol_version",
    "fingerprint",
    "git_commit",
)
COLLAPSE_SHARE = f"{TEST_SPLIT}/collapse_share"  # of collapsed runs
METRIC_COLUMNS = (*(f"{TEST_SPLIT}/{name}" for name in METRICS), COLLAPSE_SHARE, "val/best_miou", "train/seconds")
COUNT_COLUMNS = ("parameters/trained", "parameters/total")


def main(results: Path, table: Path) -> None:
    """Fill MLflow from the result files and write the table read back out of it."""
    with clear_errors(TrackingError):
        outcome = collect(results, table)
    counts = ", ".join(f"{count} {what}" for what, count in outcome.items())
    say(terminal(soft_wrap=True), f"MLflow: {counts}; read back into {table}")


def collect(results: Path, table: Path, uri: str | None = None) -> dict[str, int]:
    """Log every result under `results`, read the runs back, compare, and write `table`.

    Of a result whose very bytes MLflow has a run of, result.json and curve.csv are read and compared, and not what they
    were checked against when that run was logged: masks and tables.

    Returns:
        How many runs were new, completed, replaced, unchanged.

    Raises:
        FileNotFoundError: if there is no result.
        ResultError: if a result was made on other data than its dataset is now; nothing is logged then.
        TrackingError: if the store does not answer or does not give back what was put in.
    """
    found = [Found(results, folder) for folder in find_folders(results)]
    if not found:
        raise FileNotFoundError(f"no result.json under {results}; run `dvc repro` first")
    found.sort(key=lambda one: run_key(one.result.run))
    datasets = {one.record.experiment for one in found}
    held = {} if is_new(uri) else {name: TrackingStore(uri).read(name) for name in datasets}
    new = [one for one in found if not one.is_held(held)]
    whole = {one.folder: load_result(one.folder) for one in new}
    for one in new:
        _check_data(whole[one.folder], one.examples)
    store, records = TrackingStore(uri), {one.folder: one.record for one in found}
    outcome = Counter({"new": 0, "completed": 0, "replaced": 0, "unchanged": len(found) - len(new)})
    for one in new:
        record = to_record(whole.pop(one.folder), one.examples)
        outcome[store.put(record)] += 1
        records[one.folder] = replace(record, artifacts={})
    held |= {name: store.read(name) for name in {one.record.experiment for one in new}}
    rows = [_row(store.check(records[one.folder], held[one.record.experiment].get(one.key, []))) for one in found]
    frame = pd.DataFrame(rows, columns=[*TAG_COLUMNS, *METRIC_COLUMNS, *COUNT_COLUMNS])
    seldom = [*(f"{TEST_SPLIT}/{name}" for name in METRICS if name not in METRIC_NAMES), COLLAPSE_SHARE]
    frame = frame.astype(dict.fromkeys(COUNT_COLUMNS, "Int64"))
    frame = frame.drop(columns=[name for name in seldom if frame[name].isna().all()])
    with replacing(table) as part:
        part.write_text(csv_table(frame), encoding="utf-8")
    return dict(outcome)


class Found:
    """A result of which no more is read yet than result.json and curve.csv.

    Attributes:
        examples: of its dataset.
        record: what MLflow is told of it, but for artifacts.
        key: its run's KEY_TAGS in MLflow.
    """

    def __init__(self, results: Path, folder: Path) -> None:
        """Raises FileNotFoundError, ResultError: as load_result() of these two files."""
        self.folder = folder
        self.result, self._states_collapse = load_document(folder)
        check_place(results, folder, self.result.run)
        self.examples = results / self.result.run.dataset / "examples.parquet"
        curve, collapse = folder / "curve.csv", self.result.collapse
        self.record = _told(
            self.result,
            NOT_COLLAPSED if collapse is None else collapse.kind,
            load_curve(curve) if curve.is_file() else None,
            sha256_of(folder, self.examples),
        )
        self.key = tuple(self.record.tags[tag] for tag in KEY_TAGS)

    def is_held(self, held: Mapping[str, Mapping[Key, Sequence[TrackedRun]]]) -> bool:
        """Whether MLflow has exactly this result, once; held: its runs by experiment and key."""
        runs = held.get(self.record.experiment, {}).get(self.key, [])
        logged = [run for run in runs if SHA256_TAG in run.tags]
        return self._states_collapse and len(logged) == 1 and logged[0].is_of(self.record.sha256)


def _check_data(stored: StoredResult, examples: Path) -> None:
    """Raise ResultError if a run was evaluated on other data than the dataset that was fetched last."""
    missing = set(load_examples(examples)["sample_id"]) - set(stored.predictions["sample_id"])
    if missing:
        raise ResultError(
            f"{stored.folder}: made on other data than {examples} (example {min(missing)!r} was not predicted); "
            "evaluate it again, or delete the folder if the run is not wanted any more"
        )


def to_record(stored: StoredResult, examples: Path) -> Record:
    """What MLflow is told of a result."""
    result = stored.result
    return replace(
        _told(result, stored.collapsed, stored.curve, sha256_of(stored.folder, examples)),
        artifacts={
            "config.yaml": yaml.safe_dump(masked(result.run.config), sort_keys=True, allow_unicode=True).encode(),
            "result.json": mask((stored.folder / "result.json").read_text(encoding="utf-8")).encode(),
            "samples.csv": csv_table(stored.lines).encode(),
            **_pictures(examples, stored.predictions),
        },
    )


def sha256_of(folder: Path, examples: Path) -> str:
    """Of all that the record of a result is made from."""
    digest = hashlib.sha256(LAYOUT.encode())
    for path in (*(folder / name for name in FILES), examples):
        digest.update(f"\0{path.name}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def _told(result: Result, collapsed: str, curve: pd.DataFrame | None, sha256: str) -> Record:
    """A record without its artifacts."""
    known = record_of(
        result.run,
        result.meta,
        {
            DESCRIPTION_TAG: describe(result),
            "collapsed": collapsed,
            "protocol_version": result.protocol_version,
        },
    )
    metrics = {f"{split}/{name}": value for split, part in result.eval.items() for name, value in part.metrics.items()}
    costs = {
        "test/seconds": result.eval[TEST_SPLIT].seconds,
        "train/seconds": result.train.seconds,
        "train/peak_memory_mb": result.train.peak_memory_mb,
        "parameters/total": result.train.parameters_total,
        "parameters/trained": result.train.parameters_trained,
        "val/best_miou": result.train.best_value,
        COLLAPSE_SHARE: None if result.collapse is None else result.collapse.share,
    }
    metrics |= {name: float(value) for name, value in costs.items() if value is not None}
    curves = {} if curve is None else curves_of(curve.to_dict("records"))
    return replace(known, metrics=metrics, curves=curves, sha256=sha256)


def describe(result: Result) -> str:
    """What MLflow shows beside a run, in Markdown."""
    training = result.train
    test = result.eval[TEST_SPLIT]
    lines = [title(result.run)]
    if (collapse := result.collapse) is not None:
        lines.append(f"**Collapsed**: {collapse.title} ({collapse.share:.1%}); its metrics say little of the method")
    lines.append(
        f"{test.samples:,} test samples on {test.images:,} images; protocol {markdown(result.protocol_version)}"
    )
    if training.best_epoch is not None:
        by = f"by {training.selection_metric} on {training.selection_split}" if training.selection_metric else "as last"
        chosen = markdown(f"epoch {training.best_epoch} chosen {by}")
        lines.append(f"{training.epochs} epochs, {training.steps:,} steps; {chosen}")
    commit = markdown(result.meta.git_commit or "unknown")
    lines.append(f"Code of commit {commit}{' with changes' * bool(result.meta.git_dirty)}")
    return "\n\n".join(lines)


def _pictures(examples: Path, predictions: pd.DataFrame) -> dict[str, bytes]:
    """A picture of each example, image, truth and prediction side by side, and what the pictures are of."""
    files, rows = {}, []
    for number, example in enumerate(read_examples(examples, predictions), start=1):
        stream, name = io.BytesIO(), f"predictions/{number}.png"
        Image.fromarray(strip(example)).save(stream, format="PNG", compress_level=1)
        files[name] = stream.getvalue()
        rows.append({"picture": name, "expression": example.expression, "iou": round(example.iou, 4)})
    files["predictions/pictures.csv"] = csv_table(pd.DataFrame(rows)).encode()
    return files


def _row(run: TrackedRun) -> dict[str, Any]:
    """One line of runs.csv, from MLflow alone."""
    return {
        **{name: run.tags[name] for name in TAG_COLUMNS},
        **{name: run.metrics.get(name) for name in METRIC_COLUMNS},
        **{name: int(run.metrics[name]) if name in run.metrics else None for name in COUNT_COLUMNS},
    }
