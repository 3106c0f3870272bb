"""Plant faults, one at a time, and see whether the tests of that place catch them.

    python -m tests.mutants                  # all of them, in a temporary copy of the working tree
    python -m tests.mutants schedule iou     # those whose file's path holds one of these words

A fault is one that a person could make: a wrong axis, `>` for `>=`, a dropped term, a swallowed error. mutants.yaml has
them, with the tests that are to catch each. One that survives is printed, and the exit status is then 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]


class Fault(NamedTuple):
    """A row of mutants.yaml."""

    file: str
    what: str
    old: str
    new: str
    tests: str


FAULTS = [Fault(**row) for row in yaml.safe_load((ROOT / "tests" / "mutants.yaml").read_text(encoding="utf-8"))]


def main() -> None:
    """Plant, test, tell."""
    words = sys.argv[1:]
    chosen = [fault for fault in FAULTS if not words or any(word in fault.file for word in words)]
    survived = 0
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "project"
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file() and not name.startswith("results/"):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes((ROOT / name).read_bytes())
        for number, fault in enumerate(chosen, start=1):
            started = time.perf_counter()
            caught = plant(copy, fault)
            survived += caught is None
            said = f"{number:2d} {fault.file}: {fault.what}: {caught or 'SURVIVED'}"
            print(f"{said} ({time.perf_counter() - started:.0f} s)", flush=True)  # noqa: T201
    raise SystemExit(1 if survived else 0)


def plant(copy: Path, fault: Fault) -> str | None:
    """The first test that catches the fault; None if none does."""
    file = copy / fault.file
    whole = file.read_text(encoding="utf-8")
    if whole.count(fault.old) != 1:
        raise SystemExit(f"{fault.file}: {fault.old!r} stands {whole.count(fault.old)} times in it, not once")
    file.write_text(whole.replace(fault.old, fault.new), encoding="utf-8")
    tests = [f"tests/{name}" for name in fault.tests.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    file.write_text(whole, encoding="utf-8")
    if done.returncode == 0:
        return None
    failed = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else f"pytest exited with {done.returncode}"


if __name__ == "__main__":
    main()
