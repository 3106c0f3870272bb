"""What is measured is a step's own, and its results are results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmark.results.store import find_results
from experiments.speed import steps
from experiments.speed.growth import watch
from reports.load import load_report


def test_the_memory_of_a_step_is_its_own() -> None:
    held = bytearray(300 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])  # every page is there
    printed, seconds, small = watch([sys.executable, "-c", "import time; time.sleep(0.1); print(5)"])
    _, _, large = watch([sys.executable, "-c", "import time; x = b'x' * (200 << 20); time.sleep(0.2)"])
    assert printed == "5\n"
    assert seconds > 0.1
    if Path("/proc/self/status").exists():
        assert small is not None
        assert large is not None
        assert small < 100 < 200 < large < 300


def test_every_step_does_its_work_and_what_it_writes_is_read_by_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SEEDS", (0, 1))
    for step in ("metrics", "statistics", "dataset", "evaluation", "one_run"):
        assert steps.STEPS[step](60, tmp_path) > 0
    (evaluated,) = find_results(tmp_path / "evaluated")
    assert evaluated.sweep is not None
    (group,) = load_report(tmp_path / "results", tmp_path / "params.yaml").groups
    assert [len(method.results) for method in group.methods] == [1]
    assert steps.STEPS["study"](60, tmp_path / "study") > 0
    (group,) = load_report(tmp_path / "study" / "results", tmp_path / "study" / "params.yaml").groups
    assert [len(method.results) for method in group.methods] == [2] * 5
