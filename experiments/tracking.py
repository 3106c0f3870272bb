"""MLflow, filled from result files. The only module that imports mlflow.

The result files are the truth: a store can be thrown away and filled again, and filling it twice changes nothing. A run
carries the SHA-256 of what it was made from as a tag, written last: a run without it was interrupted, one with another
value shows an older result, and both are replaced. Runs that came from elsewhere are left alone.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import unquote, urlparse

# Read when mlflow is imported: no usage reports, and an unreachable server is an error in seconds, not in minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from benchmark.output.secrets import mask, mask_logs

DEFAULT_URI = "sqlite:///mlflow.db"
DESCRIPTION_TAG = "mlflow.note.content"  # what MLflow shows as description, of a run and of an experiment
SHA256_TAG = "result_sha256"
KEY_TAGS = ("dataset", "model", "variant", "seed")
MAX_METRICS = 1000  # MLflow's limit for one request
MAX_PARAMS = 100

T = TypeVar("T")


class TrackingError(RuntimeError):
    """The tracking store cannot be used, or does not hold what was put into it. Its address is masked."""

    def __init__(self, message: str) -> None:
        super().__init__(mask(message))


@dataclass(frozen=True)
class Record:
    """What MLflow is told of one run.

    `about` describes the experiment, in Markdown. `tags` hold KEY_TAGS; `curves` are name -> [(step, value)];
    `artifacts` are file name -> bytes; `sha256` is of what all this was made from.
    """

    experiment: str
    about: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[int, float]]]
    artifacts: Mapping[str, bytes]
    sha256: str


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow holds it: the last value of each metric."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


class TrackingStore:
    """The tracking store at MLFLOW_TRACKING_URI, by default mlflow.db in the current folder."""

    def __init__(self, uri: str | None = None) -> None:
        """Connect, and create the database if it is new: once, before several processes use it.

        Raises:
            TrackingError: if the store does not answer.
        """
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        mask_logs("mlflow", "alembic", "sqlalchemy")
        self._folder = _sqlite_folder(self.uri)
        with self._explained():
            self._client = MlflowClient(tracking_uri=self.uri)
            self._client.search_experiments(max_results=1)

    def put(self, record: Record) -> Literal["new", "replaced", "unchanged"]:
        """Log a record, unless the store already holds exactly this one.

        Raises:
            TrackingError: if the store does not answer or keeps its artifacts in a folder that has moved.
        """
        with self._explained():
            experiment_id = self._experiment(record)
            held = self._runs(experiment_id, record)
            current = [run for run in held if _finished(run) and run.data.tags.get(SHA256_TAG) == record.sha256][:1]
            for run in held:
                if run not in current:
                    self._client.delete_run(run.info.run_id)
            if current:
                return "unchanged"
            self._log(experiment_id, record)
            return "replaced" if held else "new"

    def check(self, record: Record) -> TrackedRun:
        """The record's run as read back out of the store, equal to what was put in.

        Raises:
            TrackingError: naming the run and the metric, parameter or tag that differs.
        """
        with self._explained():
            experiment = self._client.get_experiment_by_name(record.experiment)
            held = [] if experiment is None else self._runs(experiment.experiment_id, record)
        remedy = f"delete that run in {self.uri} and collect again"
        if len(held) != 1:
            raise TrackingError(f"run '{record.name}' is {len(held)} times in {self.uri}, not once; collect again")
        run = TrackedRun(dict(held[0].data.tags), dict(held[0].data.params), dict(held[0].data.metrics))
        last = {name: max(points, key=lambda point: point[0])[1] for name, points in record.curves.items()}
        for metric, value in {**record.metrics, **last}.items():
            got = run.metrics.get(metric)
            if got is None or not math.isclose(got, value, rel_tol=1e-9, abs_tol=1e-12):
                raise TrackingError(f"run '{record.name}': MLflow has {metric} = {got}, the file {value}; {remedy}")
        for kind, wanted, found in (("parameter", record.params, run.params), ("tag", record.tags, run.tags)):
            for name, text in wanted.items():
                if found.get(name) != text:
                    difference = f"{kind} {name} = {found.get(name)!r}, the file {text!r}"
                    raise TrackingError(f"run '{record.name}': MLflow has {difference}; {remedy}")
        return run

    def _log(self, experiment_id: str, record: Record) -> None:
        now = int(time.time() * 1000)
        run_id = self._client.create_run(experiment_id, now, dict(record.tags), record.name).info.run_id
        points = [Metric(name, value, now, 0) for name, value in record.metrics.items()]
        points += [Metric(name, value, now, step) for name, curve in record.curves.items() for step, value in curve]
        status = "FAILED"
        try:
            for params in _chunks([Param(name, text) for name, text in record.params.items()], MAX_PARAMS):
                self._client.log_batch(run_id, params=params)
            for metrics in _chunks(points, MAX_METRICS):
                self._client.log_batch(run_id, metrics=metrics)
            with tempfile.TemporaryDirectory() as folder:
                for name, content in record.artifacts.items():
                    (Path(folder) / name).parent.mkdir(exist_ok=True)
                    (Path(folder) / name).write_bytes(content)
                self._client.log_artifacts(run_id, folder)
            self._client.log_batch(run_id, tags=[RunTag(SHA256_TAG, record.sha256)])
            status = "FINISHED"
        finally:
            self._client.set_terminated(run_id, status)

    def _experiment(self, record: Record) -> str:
        """The experiment's id; made, restored or described where needed."""
        name = record.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            # beside the database, where the default is the current folder
            location = None if self._folder is None else (self._folder / "mlartifacts" / name).as_uri()
            return str(self._client.create_experiment(name, location, {DESCRIPTION_TAG: record.about}))
        place = urlparse(found.artifact_location)
        if self._folder and place.scheme == "file" and not Path(unquote(place.path)).is_relative_to(self._folder):
            raise TrackingError(
                f"{self.uri} keeps the artifacts of experiment {name!r} in {unquote(place.path)}, outside "
                f"{self._folder}: the database was moved. Delete it and collect again; it is filled from result files"
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if found.tags.get(DESCRIPTION_TAG) != record.about:
            self._client.set_experiment_tag(found.experiment_id, DESCRIPTION_TAG, record.about)
        return str(found.experiment_id)

    def _runs(self, experiment_id: str, record: Record) -> Sequence[MlflowRun]:
        """The runs with the record's KEY_TAGS that are not deleted; one, unless somebody interfered."""
        same = " and ".join(f"tags.`{tag}` = '{record.tags[tag]}'" for tag in KEY_TAGS)
        return list(self._client.search_runs([experiment_id], filter_string=same))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, OSError, SQLAlchemyError, ImportError) as error:
            # all but the first: sending files, the database, its driver. Without a cause, which would hold the address
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            more = "Install the driver" if isinstance(error, ImportError) else "Start the server"
            raise TrackingError(
                f"the tracking store {self.uri} failed: {reason}. {more}, correct MLFLOW_TRACKING_URI, or unset it to "
                f"use {DEFAULT_URI}"
            ) from None


def _sqlite_folder(uri: str) -> Path | None:
    """The folder of a SQLite database; None for every other store, which has artifact places of its own."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).resolve().parent if uri.startswith(prefix) else None


def _finished(run: MlflowRun) -> bool:
    return bool(run.info.status == "FINISHED")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
