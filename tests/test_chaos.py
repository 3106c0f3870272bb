"""Kills, faults and damaged files at the real commands, a few of each: `make chaos` does all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.inputs import run

ROOT = Path(__file__).parents[1]
FAULTS = "full disk: a state|a bit turned"


def test_no_damaged_file_gets_further_than_a_declared_error(tmp_path: Path) -> None:
    assert list(run(0, 2000, tmp_path)) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_is_killed_or_meets_a_fault_ends_with_the_same_bytes_and_the_page_says_so(tmp_path: Path) -> None:
    page = tmp_path / "chaos.md"
    command = [sys.executable, "-m", "tests.chaos.page", "--kills", "3", "--kills-of-two", "0", "--inputs", "1"]
    command += ["--faults", FAULTS, "--page", str(page)]  # in a process in which nothing was trained yet
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    said = page.read_text(encoding="utf-8")
    assert "**Lost: 0.**" in said
    for name in ("train", "evaluate"):
        assert f"| {name} | 1 | " in said
        assert "| 3 | 3 | 0 |" in said
    assert said.count("| 1 | 1 | 0 |") + said.count("| 0 | 0 | 0 |") == 4
