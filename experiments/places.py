"""Where things lie, seen from the folder that a command is started in. Nothing is imported here that takes time."""

from __future__ import annotations

from pathlib import Path

DATA = Path("data")
WEIGHTS = Path("weights")
RUNS = Path("runs")
RESULTS = Path("results")
WORK = Path("work")  # what is not done yet, by fingerprint
PUBLISHED = Path("weights/mini/trained/vhr10")  # the run that predicts where none is named
