"""The result of a run: what is stored, how it is written, and how it is read back.

    results/<dataset>/<model>/<variant>/<seed>/
        result.json           what ran, on which data, at what cost; the metrics, a collapse; where it was made
        metrics.json          the test metrics once more, by themselves, for `dvc metrics show`
        samples.parquet       the per-sample table of the test split, from which every metric can be computed again
        sweep.parquet         the same areas at other thresholds of the probability; no rows where there is none
        predictions.parquet   sample_id, prediction (COCO compressed RLE): the mask of every test sample (results made
                              before masks were kept hold those of the dataset's examples)
        curve.csv             epoch, step, loss, lr; at epoch ends val_miou and collapsed too; not for controls

Unusual here: reading checks what writing promised. A folder that lies at another run's path, a metric or a collapse
that the tables do not give, an unknown field or another major version of the protocol is an error, never a row in a
report.
The same result is always the same bytes: sorted keys, declared rounding, no times of day.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from benchmark.data.files import UNREADABLE, read_parquet, replacing, sha256
from benchmark.data.rle import areas, run_lengths
from benchmark.data.samples import MANIFEST, Dataset
from benchmark.metrics.calibration import COLUMNS as SWEEP_COLUMNS
from benchmark.metrics.calibration import check_sweep
from benchmark.metrics.collapse import Collapse, find_collapse
from benchmark.metrics.iou import METRIC_NAMES, check_lines, metric_names, summary
from benchmark.output.secrets import masked
from benchmark.results.schema import METRICS, PROTOCOL_VERSION, TEST_SPLIT, Counts, Data, Result, Run

CURVE_COLUMNS = ("epoch", "step", "loss", "lr", "val_miou", "collapsed")
OLD_CURVE_COLUMNS = CURVE_COLUMNS[:-1]  # of curves that were written before a collapse was noted
NOT_COLLAPSED, UNKNOWN = "no", "unknown"
PREDICTION_COLUMNS = ("sample_id", "prediction")
EXAMPLES = 6  # masks of a result that was made before all were kept


class ResultError(ValueError):
    """A result that cannot be used; the message names file, value and remedy."""


@dataclass(frozen=True)
class StoredResult:
    """A result folder, read and checked."""

    folder: Path
    result: Result
    lines: pd.DataFrame
    curve: pd.DataFrame | None
    predictions: pd.DataFrame
    sweep: pd.DataFrame | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The test metrics, each in [0, 1]."""
        return self.result.eval[TEST_SPLIT].metrics

    @property
    def collapsed(self) -> str:
        """One of KINDS, NOT_COLLAPSED, or UNKNOWN: not all empty, and what else it may be needs masks that were not
        kept."""
        if self.result.collapse is not None:
            return self.result.collapse.kind
        whole = self.result.run.control or len(self.predictions) == len(self.lines)
        return NOT_COLLAPSED if whole else UNKNOWN


def collapse_of(run: Run, lines: pd.DataFrame, predictions: pd.DataFrame) -> Collapse | None:
    """What `result.collapse` is of these tables. A control learns nothing, so it cannot collapse: always None.

    Masks that are not of all samples are left aside, as in results that were made before all were kept.
    """
    if run.control:
        return None
    return find_collapse(lines, predictions if len(predictions) == len(lines) else None)


def data_of(dataset: Dataset) -> Data:
    """What a result says of the data it was made on."""
    manifest = sha256(dataset.folder / MANIFEST)
    counts = {split: Counts(**count) for split, count in dataset.manifest.counts.items()}
    return Data(manifest_sha256=manifest, counts=counts)


def result_folder(root: Path, run: Run) -> Path:
    """Where a run's result lies under `root`."""
    return root / run.dataset / run.model / run.variant / str(run.seed)


def save_result(
    folder: Path,
    result: Result,
    lines: pd.DataFrame,
    curve: pd.DataFrame | None,
    predictions: pd.DataFrame,
    sweep: pd.DataFrame | None = None,
) -> None:
    """Write a result folder, all of it or nothing; an older one at the same place is replaced.

    Raises:
        ResultError: tables that are malformed, or metrics or a collapse that do not follow from them.
    """
    _check(folder, result, lines, predictions, sweep)
    if predictions["sample_id"].tolist() != lines["sample_id"].tolist():
        raise ResultError(f"{folder}: predictions.parquet is not of the samples of samples.parquet; evaluate again")
    _check_collapse(folder, result, collapse_of(result.run, lines, predictions))
    with replacing(folder) as part:
        part.mkdir()
        _write_json(part / "result.json", result.model_dump(mode="json"))
        _write_json(part / "metrics.json", result.eval[TEST_SPLIT].metrics)
        lines.to_parquet(part / "samples.parquet", index=False)
        rows = pd.DataFrame(columns=list(SWEEP_COLUMNS)) if sweep is None else sweep
        rows.to_parquet(part / "sweep.parquet", index=False)
        predictions[list(PREDICTION_COLUMNS)].to_parquet(part / "predictions.parquet", index=False)
        if curve is not None:
            save_curve(part / "curve.csv", curve)


def load_result(folder: Path) -> StoredResult:
    """Read a result folder and check that it is what it says.

    Raises:
        FileNotFoundError: if a file is missing.
        ResultError: unreadable or unknown fields, another major version, or files that contradict each other.
    """
    result, stated = load_document(folder)
    lines, predictions = _read_table(folder / "samples.parquet"), _read_table(folder / "predictions.parquet")
    curve = load_curve(folder / "curve.csv") if (folder / "curve.csv").is_file() else None
    sweep = _read_table(folder / "sweep.parquet") if (folder / "sweep.parquet").is_file() else None
    sweep = None if sweep is None or sweep.empty else sweep
    _check(folder, result, lines, predictions, sweep)
    try:
        collapse = collapse_of(result.run, lines, predictions)
    except ValueError as error:  # masks of one image that differ in size
        raise ResultError(f"{folder / 'predictions.parquet'}: {error}; evaluate again") from error
    if stated:
        _check_collapse(folder, result, collapse)
    result = result.model_copy(update={"collapse": collapse})
    return StoredResult(folder, result, lines, curve, predictions, sweep)


def load_document(folder: Path) -> tuple[Result, bool]:
    """result.json of a result folder by itself, and whether it says of a collapse that there is one or none: those that
    were made before a collapse was noted do not. Raises as load_result(), which also holds it against the tables."""
    path = folder / "result.json"
    for name in ("result.json", "samples.parquet", "predictions.parquet"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; make it again with `dvc repro`")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document["protocol_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ResultError(f"{path} is not a result ({error!r}); make it again with `dvc repro`") from error
    if str(version).split(".")[0] != PROTOCOL_VERSION.split(".")[0]:
        raise ResultError(
            f"{path} was made under protocol {version}, this code reads protocol {PROTOCOL_VERSION}: numbers of "
            "different major versions must not stand in one table. Evaluate again, or use the code of that version"
        )
    try:
        result = Result.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{path}, field {field}: {first['msg']}; make it again with `dvc repro`") from error
    return result, "collapse" in document


def find_results(root: Path) -> list[StoredResult]:
    """Every result under `root`, sorted by dataset, model, variant and seed; none is an empty list.

    Raises:
        ResultError: if one cannot be read, or lies in another run's folder.
    """
    found = [load_result(folder) for folder in find_folders(root)]
    for stored in found:
        check_place(root, stored.folder, stored.result.run)
    return sorted(found, key=lambda stored: run_key(stored.result.run))


def find_folders(root: Path) -> list[Path]:
    """Every result folder under `root`, but for those that are being written."""
    folders = (path.parent for path in root.glob("*/*/*/*/result.json"))
    return sorted(folder for folder in folders if not folder.name.startswith("."))


def check_place(root: Path, folder: Path, run: Run) -> None:
    """Hold that a result lies where its run says. Raises ResultError."""
    if folder != (expected := result_folder(root, run)):
        raise ResultError(f"{folder / 'result.json'} says it belongs in {expected}; move it there or delete it")


def run_key(run: Run) -> tuple[str, str, str, int]:
    """(dataset, model, variant, seed): what makes a run one run."""
    return run.dataset, run.model, run.variant, run.seed


def save_curve(path: Path, curve: pd.DataFrame) -> None:
    """Write a training curve, six significant digits.

    Raises:
        ResultError: if the columns are not CURVE_COLUMNS.
    """
    if tuple(curve.columns) != CURVE_COLUMNS:
        raise ResultError(f"{path}: a curve has the columns {list(CURVE_COLUMNS)}, not {list(curve.columns)}")
    curve.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def load_curve(path: Path) -> pd.DataFrame:
    """Read a training curve; `val_miou` is NaN but at epoch ends, as is `collapsed`, one of KINDS or NOT_COLLAPSED.

    Raises:
        ResultError: no table, or the columns are not CURVE_COLUMNS (or OLD_CURVE_COLUMNS: `collapsed` is NaN then).
    """
    try:
        curve = pd.read_csv(path, dtype=dict.fromkeys(CURVE_COLUMNS[2:5], float) | {"collapsed": object})
    except ValueError as error:
        raise ResultError(f"{path} is no training curve ({error}); make it again with `dvc repro`") from error
    if tuple(curve.columns) == OLD_CURVE_COLUMNS:
        curve["collapsed"] = pd.Series(dtype=object)
    if tuple(curve.columns) != CURVE_COLUMNS:
        raise ResultError(f"{path}: a curve has the columns {list(CURVE_COLUMNS)}, not {list(curve.columns)}")
    return curve


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return read_parquet(path)
    except UNREADABLE as error:
        raise ResultError(f"{path} cannot be read ({error}); make it again with `dvc repro`") from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Credentials are masked: results are in git."""
    path.write_text(json.dumps(masked(content), indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _check_collapse(folder: Path, result: Result, found: Collapse | None) -> None:
    """The collapse that a result states is the one of its tables."""
    if result.collapse != found:
        said, measured = (one.model_dump() if one else None for one in (result.collapse, found))
        raise ResultError(f"{folder}: result.json says collapse is {said}, its tables give {measured}; evaluate again")


def _check(
    folder: Path, result: Result, lines: pd.DataFrame, predictions: pd.DataFrame, sweep: pd.DataFrame | None
) -> None:
    """The parts of a result agree with each other."""
    try:
        check_lines(lines)
    except ValueError as error:
        raise ResultError(f"{folder / 'samples.parquet'}: {error}") from error
    if sweep is not None:
        try:
            check_sweep(sweep, lines)
        except ValueError as error:
            raise ResultError(f"{folder / 'sweep.parquet'}: {error}") from error
    if tuple(predictions.columns) != PREDICTION_COLUMNS:
        raise ResultError(
            f"{folder / 'predictions.parquet'} has the columns {list(predictions.columns)}, "
            f"it needs {list(PREDICTION_COLUMNS)}"
        )
    stated = dict(zip(lines["sample_id"], lines["predicted_area"], strict=True))
    if predictions["sample_id"].duplicated().any() or EXAMPLES < len(predictions) < len(lines):
        raise ResultError(
            f"{folder / 'predictions.parquet'} has {len(predictions)} rows for {len(lines)} samples; each has one: "
            "evaluate again"
        )
    codes = [str(counts) for counts in predictions["prediction"]]
    try:
        found = areas(codes)[1].tolist()
    except ValueError:
        raise _first_fault(folder, predictions["sample_id"].tolist(), codes) from None
    for name, area in zip(predictions["sample_id"], found, strict=True):
        if area != stated.get(name):
            raise ResultError(
                f"{folder}: sample {name!r} has {area} pixels in predictions.parquet and predicted_area "
                f"{stated.get(name)} in samples.parquet; evaluate again"
            )
    for split, evaluation in result.eval.items():
        due = {*METRIC_NAMES, *(metric_names(lines) if split == TEST_SPLIT else evaluation.metrics)}
        if set(evaluation.metrics) != due or not due <= set(METRICS):
            raise ResultError(
                f"{folder / 'result.json'}, eval.{split}.metrics names {sorted(evaluation.metrics)}, "
                f"protocol {PROTOCOL_VERSION} has {sorted(due & set(METRICS))}"
            )
    if TEST_SPLIT not in result.eval:
        raise ResultError(f"{folder / 'result.json'} has no evaluation of the {TEST_SPLIT!r} split")
    test = result.eval[TEST_SPLIT]
    said = {**test.metrics, "samples": test.samples, "images": test.images}
    measured = {**summary(lines), "samples": len(lines), "images": lines["image_id"].nunique()}
    for name, value in measured.items():
        if abs(said[name] - value) > 1e-6:
            raise ResultError(
                f"{folder}: result.json says {name} is {said[name]}, samples.parquet gives {value}; evaluate again"
            )


def _first_fault(folder: Path, names: Sequence[str], codes: Sequence[str]) -> ResultError:
    """Of the first mask that is none."""
    for name, code in zip(names, codes, strict=True):
        try:
            run_lengths(code)
        except ValueError as error:
            return ResultError(f"{folder / 'predictions.parquet'}, sample {name!r}: {error}; evaluate again")
    raise AssertionError("every mask is one by itself")
