"""Throw damaged files at every reader of files that people give.

    python -m tests.chaos.inputs --inputs 100000
    python -m tests.chaos.inputs --inputs 1 --seed 4711    # one case once more, with what was raised

A case follows from its number alone: which kind of file (files.py), and how it is damaged
(damage.py). A reader may refuse it by one of the errors that it declares, within SECONDS of processor time
and BYTES of memory, and leaves nothing beside the file. Cases run in a child process, so that a crash is a finding too.
"""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmark.data.errors import SampleError
from benchmark.data.params_file import ParamsFileError
from benchmark.results.store import ResultError
from tests.chaos.damage import damaged
from tests.chaos.files import Kind, kinds

SECONDS, BYTES = 5, 3 << 30
DECLARED: dict[str, tuple[type[Exception], ...]] = {  # besides SampleError and FileNotFoundError
    "parameters": (ParamsFileError,),
    "code": (ValueError,),
    "result": (ResultError,),
    "curve": (ResultError,),
}


def case(number: int, folder: Path, made: dict[str, Kind]) -> str | None:
    """What is wrong with how a case ends; None if nothing is."""
    rng = np.random.default_rng(number)
    name = sorted(made)[int(rng.integers(len(made)))]
    files, read, structured, together = made[name]
    names = sorted(files)
    chosen, other = (names[int(rng.integers(len(names)))] for _ in range(2))
    kept = dict(files) if together else {chosen: files[chosen]}
    kept[chosen] = damaged(rng, files[chosen], files[other], structured or chosen.endswith(".json"))
    place = folder / f"{number}"
    place.mkdir()
    for file, content in kept.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(content)
    before = set(place.rglob("*"))
    try:
        read(place)
    except (SampleError, FileNotFoundError, *DECLARED.get(name, ())):
        pass
    except Exception:  # noqa: BLE001  # whatever it is, it is a finding
        return f"{name}: {traceback.format_exc()}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        left = sorted(str(path.relative_to(place)) for path in set(place.rglob("*")) ^ before)
        shutil.rmtree(place)
    return f"{name}: leaves or loses {left}" if left else None


def run(first: int, count: int, folder: Path) -> Iterator[tuple[int, str]]:
    """The cases that end badly, and how."""
    made = kinds(folder)
    number, last = first, first + count
    while number < last:
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            _work(number, last, folder, made, theirs)
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8", errors="replace") as pipe:
            for line in pipe:
                number = int(line.partition(" ")[0])
                if fault := line.partition(" ")[2].strip():
                    yield number, fault.replace("\t", "\n")
                    number += 1
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        yield (
            number,
            f"ended the process: {signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status}",
        )
        number += 1


def _work(first: int, last: int, folder: Path, made: dict[str, Kind], pipe: int) -> None:
    """In a child: each case announced before it runs, so that the parent knows which one ended the process."""
    warnings.simplefilter("ignore")
    logging.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, taken + BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, last):
        os.write(pipe, f"{number} \n".encode())
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # SIGPROF ends the process, in whatever library it is
        fault = case(number, folder, made)
        if fault is not None:
            os.write(pipe, f"{number} {fault}".replace("\n", "\t").encode("utf-8", "replace") + b"\n")
    os._exit(0)


def main(
    inputs: Annotated[int, typer.Option(min=1, help="how many cases")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="the first one's number")] = 0,
) -> None:
    """Run cases and print those that end badly; exit with 1 if there are any."""
    with tempfile.TemporaryDirectory() as place:
        findings = 0
        for number, fault in run(seed, inputs, Path(place)):
            findings += 1
            print(f"--seed {number}: {fault}\n", flush=True)  # noqa: T201
    print(f"{inputs:,} inputs from {seed}, {findings} findings")  # noqa: T201
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    typer.run(main)
