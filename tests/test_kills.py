"""The real commands, killed a few times: `make chaos` does it thirty times each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kills import MADE, compare, make_study, undisturbed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_and_an_evaluation_that_are_killed_end_with_the_same_bytes(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for command in MADE:
        whole, seconds = undisturbed(study, command)
        met = compare(study, command, 3, 0, whole, seconds)
        assert sum(met.values()) >= 3
