"""A run as MLflow holds it, and what in it differs from its record. Nothing of MLflow is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.records import Record

SHA256_TAG = "result_sha256"  # of what a run was made from; written last


@dataclass(frozen=True)
class TrackedRun:
    """finished: whether MLflow was told so. metrics: the last value of each."""

    finished: bool
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    def is_of(self, sha256: str) -> bool:
        """Whether it was made, to its end, from what has this SHA-256."""
        return self.finished and self.tags.get(SHA256_TAG) == sha256


def difference(record: Record, run: TrackedRun) -> str | None:
    """The first metric, parameter or tag of a record that its run lacks or has otherwise; None if there is none."""
    last = {name: max(points, key=lambda point: point[0])[1] for name, points in record.curves.items()}
    for metric, value in {**record.metrics, **last}.items():
        got = run.metrics.get(metric)
        if not close(got, value):
            return f"{metric} = {got}, the file {value}"
    for kind, wanted, found in (("parameter", record.params, run.params), ("tag", record.tags, run.tags)):
        for name, text in wanted.items():
            if found.get(name) != text:
                return f"{kind} {name} = {found.get(name)!r}, the file {text!r}"
    return None


def close(got: float | None, value: float) -> bool:
    """Whether a number came back as it was told."""
    return got is not None and math.isclose(got, value, rel_tol=1e-9, abs_tol=1e-12)
