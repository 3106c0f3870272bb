"""Damaged files of every kind that people give: refused by a declared error, or read, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.chaos import run


def test_no_damaged_file_gets_further_than_a_declared_error(tmp_path: Path) -> None:
    assert list(run(0, 2000, tmp_path)) == []
