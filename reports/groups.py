"""What a report is made from: groups of methods, each with its results.

A method is a variant, a control (a training-free baseline) or an external submission. A variant is complete when it has
a result for every seed that any trained variant of its group has; an incomplete one is shown as missing, never as the
mean of what is there. A control learns nothing, so one result of it is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from benchmark.metrics.iou import iou, precision_name
from benchmark.metrics.statistics import Difference, Interval, many_differences, many_intervals
from benchmark.metrics.strata import load_strata
from benchmark.results.schema import METRICS, TEST_SPLIT
from benchmark.results.store import UNKNOWN, StoredResult

OUTSIDE = "†"  # behind the name of a method that was not run here
COLLAPSED = "‡"  # behind the name of a method with collapsed runs, where there is no room for words
Key = tuple[str, bool]  # of a method: its name, and whether it is a control
COMPARED = ("miou", "oiou", *(precision_name(x) for x in (0.5, 0.7, 0.9)))  # metrics in which they are

Part = TypeVar("Part", bound=Hashable)


@dataclass(frozen=True)
class Method:
    """A variant or control with its results, one per seed; none if it is missing or incomplete.

    outside: its name in print, of a method that was not run here: only its masks were scored.
    """

    name: str
    control: bool
    results: tuple[StoredResult, ...]
    missing_seeds: tuple[int, ...] = ()
    outside: str | None = None

    @property
    def key(self) -> Key:
        """What it is, among all methods of its group."""
        return self.name, self.control

    @property
    def title(self) -> str:
        """Its name in print."""
        return self.name if self.outside is None else f"{self.outside} {OUTSIDE}"

    @property
    def collapsed(self) -> list[StoredResult]:
        """Its runs that collapsed (benchmark/metrics/collapse.py); none of a control."""
        return [stored for stored in self.results if stored.result.collapse is not None]

    @property
    def label(self) -> str:
        """Its title with what collapsed, for example "no_lora (2 of 3 runs collapsed: empty masks)"."""
        if not self.collapsed:
            return self.title
        many = f"{len(self.collapsed)} of {len(self.results)} runs " if len(self.results) > 1 else ""
        return f"{self.title} ({many}collapsed: {kinds_of(self.collapsed)})"

    @property
    def short_label(self) -> str:
        """Its title with a sign if runs of it collapsed."""
        return f"{self.title} {COLLAPSED}" if self.collapsed else self.title

    @property
    def lines(self) -> list[pd.DataFrame]:
        """Per-sample tables, one per seed."""
        return [stored.lines for stored in self.results]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Mean over seeds, each in [0, 1]; none without results."""
        if not self.results:
            return {}
        names = [name for name in METRICS if all(name in stored.metrics for stored in self.results)]
        return {name: float(np.mean([stored.metrics[name] for stored in self.results])) for name in names}

    def deviation(self, metric: str) -> float:
        """Standard deviation of a metric over two seeds or more, in [0, 1] (n - 1 in the denominator)."""
        return float(np.std([stored.metrics[metric] for stored in self.results], ddof=1))

    def train_mean(self, field: str) -> float | None:
        """Mean over seeds of a field of the result's `train`; None where unknown, as of an external submission."""
        if self.outside is not None or not self.results:
            return None
        values = [getattr(stored.result.train, field) for stored in self.results]
        return None if None in values else float(np.mean(values))

    @property
    def images_per_second(self) -> float | None:
        """Test images predicted a second, over all seeds; None where the time is not known or too short to measure."""
        tests = [stored.result.eval[TEST_SPLIT] for stored in self.results]
        seconds = [test.predict_seconds for test in tests if test.predict_seconds]
        return None if len(seconds) < len(tests) else sum(test.images for test in tests) / sum(seconds)


@dataclass(frozen=True)
class Group:
    """The methods of one dataset and model: variants first, then controls.

    main: the variant that the others are compared with.
    """

    dataset: str
    model: str
    main: str
    seeds: tuple[int, ...]
    methods: tuple[Method, ...]
    examples: Path
    strata_path: Path
    cases: Path
    asked: tuple[str, ...] = ()  # variants that `run` names

    @property
    def title(self) -> str:
        return f"{self.dataset} · {self.model}"

    @cached_property
    def described(self) -> pd.DataFrame:
        """What each test sample is like (benchmark.metrics.strata.describe).

        Raises FileNotFoundError or SampleError if it cannot be read.
        """
        return load_strata(self.strata_path)

    @property
    def full(self) -> Method | None:
        """The full model, if it has results."""
        return next((method for method in self.trained if method.name == self.main and method.results), None)

    @cached_property
    def intervals(self) -> dict[Key, dict[str, Interval]]:
        """Of every method with results: the 95 % bootstrap intervals of its `metrics`. Images are resampled, and seeds
        where there are several."""
        found: dict[Key, dict[str, Interval]] = {}
        for metrics in dict.fromkeys(tuple(method.metrics) for method in self.present):
            some = ((method.key, method.lines) for method in self.present if tuple(method.metrics) == metrics)
            found |= many_intervals(some, metrics, over_seeds=True)
        return found

    def mious_of(
        self, methods: Sequence[Method], parts: Mapping[Part, Collection[str]]
    ) -> dict[tuple[Part, Key], tuple[float, float, float]]:
        """mIoU of some methods with results on parts of the samples, given by their ids, all with a target; with its
        95 % interval as in `intervals`."""
        means: dict[tuple[Part, Key], float] = {}

        def tables() -> Iterator[tuple[tuple[Part, Key], list[pd.DataFrame]]]:
            for method in methods:
                index = [pd.Index(lines["sample_id"]) for lines in method.lines]
                for part, sample_ids in parts.items():
                    at = [np.sort(known.get_indexer(pd.Index(sample_ids))) for known in index]
                    some = [
                        lines.iloc[rows[rows >= 0]].reset_index(drop=True)
                        for lines, rows in zip(method.lines, at, strict=True)
                    ]
                    means[part, method.key] = float(np.mean([iou(table).mean() for table in some]))
                    yield (part, method.key), some

        intervals = many_intervals(tables(), ("miou",), over_seeds=True)
        return {key: (means[key], *found["miou"]) for key, found in intervals.items()}

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """Title of every other variant or external submission with results -> COMPARED metric -> how far it is from the
        full model, on the same samples. None there without the full model."""
        others = [method for method in self.present if not method.control and method is not self.full]
        if self.full is None:
            return {}
        pairs = ((method.title, (method.lines, self.full.lines)) for method in others)
        return many_differences(pairs, COMPARED, over_seeds=True)

    @property
    def trained(self) -> list[Method]:
        """The variants, missing ones too."""
        return [method for method in self.methods if not method.control and method.outside is None]

    @property
    def headlined(self) -> list[Method]:
        """The variants that `run` names; all, where it names none of these."""
        return [method for method in self.trained if method.name in self.asked] or self.trained

    @property
    def present(self) -> list[Method]:
        """Methods that have results."""
        return [method for method in self.methods if method.results]

    @property
    def collapsed(self) -> list[Method]:
        """Methods of which a run or more collapsed."""
        return [method for method in self.present if method.collapsed]

    @property
    def unknown(self) -> int:
        """How many runs may have collapsed unseen: their masks were not kept."""
        return sum(stored.collapsed == UNKNOWN for method in self.present for stored in method.results)

    @property
    def size(self) -> tuple[int, int]:
        """Test samples and images."""
        test = self.present[0].results[0].result.eval[TEST_SPLIT]
        return test.samples, test.images


def kinds_of(runs: Sequence[StoredResult]) -> str:
    """What the masks of some runs collapsed to, in print: "empty masks", or several joined by "and"."""
    found = [stored.result.collapse.title for stored in runs if stored.result.collapse is not None]
    return " and ".join(dict.fromkeys(found))


def ordered(names: Sequence[str], first: Sequence[str]) -> list[str]:
    """Names without repetition: those of `first` in its order, then the rest by alphabet."""
    return [name for name in first if name in names] + sorted(set(names) - set(first))
