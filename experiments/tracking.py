"""MLflow, filled from result files and told of trainings while they run. The only module that imports mlflow.

The result files are the truth: a store can be thrown away and filled again, and filling it twice changes nothing. A run
carries the SHA-256 of what it was made from as a tag, written last. One with another value shows an older result and is
replaced. One without it is a training, or was interrupted: the result of the same fingerprint completes it if what
it holds is a part of that, and replaces it if not; those of other fingerprints, and runs that came from elsewhere, are
left alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import unquote, urlparse

# Read when mlflow is imported: no usage reports, and an unreachable server is an error in seconds, not in minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from benchmark.output.secrets import mask, mask_logs
from experiments.records import CURVES, DESCRIPTION_TAG, FINGERPRINT_TAG, KEY_TAGS, Curves, Record
from experiments.tracked import SHA256_TAG, TrackedRun, close, difference

SQLITE = "sqlite:///"
DEFAULT_URI = f"{SQLITE}mlflow.db"
MAX_METRICS = 800  # of one request: MLflow takes 1,000 things in all
MAX_PARAMS = 100  # of params and of tags
PAGE = 1000  # runs, of one request

T = TypeVar("T")
Key = tuple[str, ...]


class TrackingError(RuntimeError):
    """The tracking store cannot be used, or does not hold what was put into it. Its address is masked."""

    def __init__(self, message: str) -> None:
        super().__init__(mask(message))


@dataclass
class StartedRun:
    """A run that is not whole yet: its id, and the points of curves it holds, as (metric, step)."""

    run_id: str
    points: set[tuple[str, int]] = field(default_factory=set)


class TrackingStore:
    """The tracking store at MLFLOW_TRACKING_URI, by default mlflow.db in the current folder.

    Every method raises TrackingError if the store does not answer.
    """

    def __init__(self, uri: str | None = None) -> None:
        """Connect, and create the database if it is new."""
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        mask_logs("mlflow", "alembic", "sqlalchemy")
        self._folder = _sqlite_folder(self.uri)
        with self._explained():
            self._client = MlflowClient(tracking_uri=self.uri)
            self._client.search_experiments(max_results=1)

    def put(self, record: Record) -> Literal["new", "completed", "replaced", "unchanged"]:
        """Log a record, unless the store already holds exactly this one.

        Raises:
            TrackingError: if it keeps its artifacts in a folder that has moved.
        """
        with self._explained():
            experiment_id = self._experiment(record)
            held = self._runs(experiment_id, record)
            done = [run for run in held if SHA256_TAG in run.data.tags]
            current = [run for run in done if _finished(run) and run.data.tags[SHA256_TAG] == record.sha256][:1]
            begun = [] if current else _begun(held, record)
            part = next((run for run in begun if self._is_part(run, record)), None)
            for run in (*done, *begun):
                if run not in (*current, part):
                    self._client.delete_run(run.info.run_id)
            if current:
                return "unchanged"
            self._log(part or self._create(experiment_id, record), record)
            return "completed" if part else "replaced" if done or begun else "new"

    def start(self, record: Record) -> StartedRun:
        """The run of a training, which goes on or is made. Raises as put()."""
        with self._explained():
            experiment_id = self._experiment(record)
            begun = _begun(self._runs(experiment_id, record), record)
            run = begun[0] if begun else self._create(experiment_id, record)
            if run.info.status != "RUNNING":
                self._client.update_run(run.info.run_id, "RUNNING")
            self._describe(run, record)
            return StartedRun(run.info.run_id, {(name, step) for name, step, _ in self._points(run)})

    def log(self, run: StartedRun, curves: Curves, at: int) -> None:
        """Log what a run does not hold yet of some points, with their time in milliseconds."""
        with self._explained():
            for metrics in _chunks(_lacking(run, curves, at), MAX_METRICS):
                self._client.log_batch(run.run_id, metrics=metrics)
                run.points |= {(metric.key, metric.step) for metric in metrics}

    def end(self, run: StartedRun, status: str) -> None:
        """Say how it ended: FINISHED, KILLED or FAILED."""
        with self._explained():
            self._client.set_terminated(run.run_id, status)

    def read(self, experiment: str) -> Mapping[Key, list[TrackedRun]]:
        """KEY_TAGS' values -> the runs of an experiment that have them and are not deleted; one, unless somebody
        interfered. Of an experiment that is not there: none.

        Raises:
            TrackingError: as put().
        """
        runs: dict[Key, list[TrackedRun]] = {}
        with self._explained():
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                return runs
            self._check_location(found)
            for run in self._search(found.experiment_id):
                key = tuple(run.data.tags.get(tag, "") for tag in KEY_TAGS)
                tracked = TrackedRun(_finished(run), run.data.tags, run.data.params, run.data.metrics)
                runs.setdefault(key, []).append(tracked)
        return runs

    def check(self, record: Record, runs: Sequence[TrackedRun]) -> TrackedRun:
        """The record's run among those of its KEY_TAGS, as read() gives them, equal to what was put in.

        Raises:
            TrackingError: naming the run and the metric, parameter or tag that differs.
        """
        held = [run for run in runs if SHA256_TAG in run.tags]
        if len(held) != 1:
            raise TrackingError(f"run '{record.name}' is {len(held)} times in {self.uri}, not once; collect again")
        if (differs := difference(record, held[0])) is not None:
            remedy = f"delete that run in {self.uri} and collect again"
            raise TrackingError(f"run '{record.name}': MLflow has {differs}; {remedy}")
        return held[0]

    def _create(self, experiment_id: str, record: Record) -> MlflowRun:
        return self._client.create_run(experiment_id, int(time.time() * 1000), dict(record.tags), record.name)

    def _describe(self, run: MlflowRun, record: Record, metrics: Sequence[Metric] = ()) -> None:
        """Log the params that a run lacks, the tags that it lacks or has otherwise, and metrics, in few requests."""
        params = [Param(name, text) for name, text in record.params.items() if name not in run.data.params]
        tags = [RunTag(name, text) for name, text in record.tags.items() if run.data.tags.get(name) != text]
        parts = (_chunks(metrics, MAX_METRICS), _chunks(params, MAX_PARAMS), _chunks(tags, MAX_PARAMS))
        for part in zip_longest(*parts, fillvalue=()):
            self._client.log_batch(run.info.run_id, *part)

    def _log(self, run: MlflowRun, record: Record) -> None:
        """Log what a run lacks of a record."""
        run_id = run.info.run_id
        started = StartedRun(run_id, {(name, step) for name, step, _ in self._points(run)})
        status = "FAILED"
        try:
            metrics = {name: [(0, value)] for name, value in record.metrics.items() if name not in run.data.metrics}
            points = _lacking(started, {**metrics, **record.curves}, int(time.time() * 1000))
            self._describe(run, record, points)
            with tempfile.TemporaryDirectory() as folder:
                for name, content in record.artifacts.items():
                    (Path(folder) / name).parent.mkdir(exist_ok=True)
                    (Path(folder) / name).write_bytes(content)
                self._client.log_artifacts(run_id, folder)
            self._client.log_batch(run_id, tags=[RunTag(SHA256_TAG, record.sha256)])
            status = "FINISHED"
        finally:
            self.end(started, status)

    def _points(self, run: MlflowRun) -> list[tuple[str, int, float]]:
        """The points of its curves: metric, step, value."""
        return [
            (name, point.step, point.value)
            for name in CURVES
            if name in run.data.metrics
            for point in self._client.get_metric_history(run.info.run_id, name)
        ]

    def _is_part(self, run: MlflowRun, record: Record) -> bool:
        """Whether all params, metrics and points of a run are the record's, each once."""
        wanted = {(name, step): value for name, curve in record.curves.items() for step, value in curve}
        wanted |= {(name, 0): value for name, value in record.metrics.items()}
        held = self._points(run)
        held += [(name, 0, value) for name, value in run.data.metrics.items() if name not in CURVES]
        return (
            run.data.params.items() <= record.params.items()
            and len({(name, step) for name, step, _ in held}) == len(held)
            and all(close(wanted.get((name, step)), value) for name, step, value in held)
        )

    def _experiment(self, record: Record) -> str:
        """The experiment's id; made, restored or described where needed."""
        name = record.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            # beside the database, where the default is the current folder
            location = None if self._folder is None else (self._folder / "mlartifacts" / name).as_uri()
            try:
                return str(self._client.create_experiment(name, location, {DESCRIPTION_TAG: record.about}))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:  # it is not that another training has just made it
                    raise
        self._check_location(found)
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if found.tags.get(DESCRIPTION_TAG) != record.about:
            self._client.set_experiment_tag(found.experiment_id, DESCRIPTION_TAG, record.about)
        return str(found.experiment_id)

    def _check_location(self, experiment: Experiment) -> None:
        """Raise TrackingError if the artifacts of an experiment are not beside the database any more."""
        place = urlparse(experiment.artifact_location)
        if self._folder and place.scheme == "file" and not Path(unquote(place.path)).is_relative_to(self._folder):
            raise TrackingError(
                f"{self.uri} keeps the artifacts of experiment {experiment.name!r} in {unquote(place.path)}, outside "
                f"{self._folder}: the database was moved. Delete it and collect again; it is filled from result files"
            )

    def _runs(self, experiment_id: str, record: Record) -> Sequence[MlflowRun]:
        """The runs with the record's KEY_TAGS that are not deleted; one, unless somebody interfered."""
        same = " and ".join(f"tags.`{tag}` = '{record.tags[tag]}'" for tag in KEY_TAGS)
        return self._search(experiment_id, same)

    def _search(self, experiment_id: str, condition: str = "") -> list[MlflowRun]:
        """The runs of an experiment that are not deleted, on however many pages."""
        found: list[MlflowRun] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([experiment_id], condition, max_results=PAGE, page_token=token)
            found += page
            if not (token := page.token):
                return found

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


def is_new(uri: str | None = None) -> bool:
    """Whether a store, named as TrackingStore takes it, is a SQLite database that is not there yet."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    return uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists()


def _sqlite_folder(uri: str) -> Path | None:
    """The folder of a SQLite database; None for every other store, which has artifact places of its own."""
    return Path(uri.removeprefix(SQLITE)).resolve().parent if uri.startswith(SQLITE) else None


def _finished(run: MlflowRun) -> bool:
    return bool(run.info.status == "FINISHED")


def _begun(runs: Sequence[MlflowRun], record: Record) -> list[MlflowRun]:
    """Those of the record's fingerprint that no result was logged to, newest first."""
    same = record.tags[FINGERPRINT_TAG]
    return [run for run in runs if SHA256_TAG not in run.data.tags and run.data.tags.get(FINGERPRINT_TAG) == same]


def _lacking(run: StartedRun, curves: Curves, at: int) -> list[Metric]:
    """The points that a run does not hold yet, with their time in milliseconds."""
    points = [(name, step, value) for name, curve in curves.items() for step, value in curve]
    return [Metric(name, value, at, step) for name, step, value in points if (name, step) not in run.points]


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
