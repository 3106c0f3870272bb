"""The paper's model on this machine, at full size, on random weights: what it takes is measured, and held to limits.

Each measurement is a process of its own, whose peak memory is nobody else's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def measured(file: Path, *options: str) -> tuple[float, float, dict[str, Any]]:
    """Peak memory of the process and what was foreseen of it, in GB; and everything else."""
    command = [sys.executable, "-m", "experiments.inspect", "--model", "rsrefseg-b", "--precision", "float32"]
    done = subprocess.run(
        [*command, "--repeats", "1", "--json", str(file), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    work = {"forward": "forward", "step": "training step"}[found["measured"]["work"]]
    foreseen = sum(found["memory"][work].values()) / 1e9
    return found["measured"]["peak_memory_mb"] * 2**20 / 1e9, foreseen, found


def test_a_float32_forward_takes_less_than_10_GB(tmp_path: Path) -> None:
    peak, foreseen, found = measured(tmp_path / "costs.json", "--measure", "forward")
    assert found["measured"]["device"] == "cpu"
    assert foreseen < peak < 10
    assert peak < 1.1 * foreseen + 1.5  # the process, and kernels' scratch memory


def test_a_float32_training_step_with_checkpointing_takes_less_than_16_GB(tmp_path: Path) -> None:
    peak, foreseen, found = measured(tmp_path / "costs.json", "--measure", "step", "--gradient-checkpointing")
    assert found["measured"]["device"] == "cpu"
    assert foreseen < peak < 16
    assert peak < 1.4 * foreseen + 1.5  # and what the C library's allocator keeps of freed memory
