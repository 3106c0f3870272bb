"""The real commands, killed a few times: `make chaos` does it thirty times each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_and_an_evaluation_that_are_killed_end_with_the_same_bytes() -> None:
    command = [sys.executable, "-m", "tests.kills", "--kills", "3"]  # a process in which nothing was trained yet
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    for name in ("train", "evaluate"):
        assert f"{name}: 3 kills, the same bytes" in done.stdout
