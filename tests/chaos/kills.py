"""Kill trainings and evaluations at random moments, by the real commands, until they are done.

    python -m tests.chaos.kills --kills 30                      # of each command
    python -m tests.chaos.kills --kills 15 --processes 2        # of ranks: torchrun is killed, or one of them

A child process runs the command as `python -m` would (torch forbids one whose parent has trained), of a small study on
the committed foundation weights; it is sent SIGKILL, SIGTERM or SIGINT after a random time, anywhere from its first
line to its last, and started again until it ends well. Then weights, curve and per-sample table must be the bytes of a
run that nobody disturbed, by as many processes. Told to stop, a process has GRACE seconds.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psutil
import typer
import yaml

from experiments.commands import evaluate, fetch, train
from experiments.stopping import AGAIN

ROOT = Path(__file__).parents[2]
POINT = {"dataset": "synthetic", "model": "mini", "variant": "rsrefseg"}
MADE = {  # by command: what must be the same
    "train": ("runs/synthetic/mini/rsrefseg/0", ("model.safetensors", "curve.csv", "config.json")),
    "evaluate": ("results/synthetic/mini/rsrefseg/0", ("samples.parquet", "predictions.parquet", "sweep.parquet")),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GRACE = 10.0
ORPHANED = "torchrun, which started this process, does not answer"  # what a rank says that had not joined yet


def make_study(folder: Path, minutes: float = 0.0) -> Path:
    """A project in which a training takes seconds: few scenes, two epochs, a state every `minutes`."""
    shutil.copytree(ROOT / "weights" / "mini", folder / "weights" / "mini")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["datasets"]["synthetic"] = {"train": 6, "val": 2, "test": 6, "side": 96, "per_image": 3}
    params["models"]["mini"]["train"] |= {"batch_size": 2, "epochs": 2}
    params["models"]["mini"]["lora"]["dropout"] = 0.1  # so that every step draws random numbers
    params["evaluate"]["batch_images"] = 1
    params["checkpoint"]["minutes"] = minutes
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert end(start(folder, "fetch")) == 0
    return folder


def start(folder: Path, command: str, processes: int = 1) -> int:
    """The process of a command, which is another's of the same interpreter: importing torch takes seconds.

    Of several it is torchrun's, which starts them."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.chdir(folder)
        os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        if processes > 1:
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            point = [part for name, value in POINT.items() for part in (f"--{name}", value)]
            os.environ["PYTHONPATH"] = str(ROOT)
            os.execv(sys.executable, [*torchrun, "-m", f"experiments.{command}", *point])
        for number in SIGNALS[1:]:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if command == "fetch":
            fetch.main("synthetic", offline=False, allow_count_mismatch=False)
        else:
            {"train": train, "evaluate": evaluate}[command].main(**POINT, seed=0)
        status = 0
    except typer.Exit as left:
        status = left.exit_code
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001  # nobody else would print it
        traceback.print_exc()
    finally:
        os._exit(status)


def end(process: int) -> int:
    """Its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _ranks(process: int) -> list[int]:
    """The processes that one has started, as far as they are there."""
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _wait_until_free(folder: Path, ranks: list[int]) -> None:
    """Until nobody works there: a rank whose torchrun was killed ends a step later, one that waits for others at once.

    Raises:
        AssertionError: one does for more than GRACE seconds.
    """
    _, left = psutil.wait_procs([psutil.Process(rank) for rank in ranks if psutil.pid_exists(rank)], timeout=GRACE)
    assert not left, f"{left} are left after {GRACE} s"
    for lock in folder.glob("work/*/lock"):
        with lock.open("w") as opened:
            told = time.monotonic()
            while True:
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() - told < GRACE, f"{lock} is held after {GRACE} s"
                    time.sleep(0.1)


def made(folder: Path, command: str) -> dict[str, bytes]:
    """What a command wrote, as far as it must be the same again."""
    place, names = MADE[command]
    return {name: (folder / place / name).read_bytes() for name in names}


def disturbed(
    folder: Path,
    command: str,
    kills: int,
    chance: random.Random,
    whole: dict[str, bytes],
    seconds: float,
    processes: int,
) -> Iterator[str]:
    """Run a command to its end again and again, until so many kills have met it; how each ended it.

    whole, seconds: what an undisturbed run makes, and the time it takes.

    Raises:
        AssertionError: an end that is neither the kill's nor a state kept in time; something left half-written.
    """
    left = kills
    while True:
        process = target = start(folder, command, processes)
        number, whom = chance.choice(SIGNALS), "" if processes == 1 else "torchrun: "
        others: list[int] = []
        if left:
            time.sleep(chance.uniform(0, seconds))
            if processes > 1 and chance.random() < 0.5 and (ranks := _ranks(process)):
                target, number, whom = chance.choice(ranks), signal.SIGKILL, "a rank: "
            others = _ranks(process)
            os.kill(target, number)
        told = time.monotonic()
        status = end(process)
        _wait_until_free(folder, others)
        took = time.monotonic() - told
        if status == 0:
            assert made(folder, command) == whole, f"{command}: other bytes than undisturbed"
            if not left:
                return
            shutil.rmtree(folder / MADE[command][0])  # too late; once more
            continue
        left -= 1
        log = (folder / "log").read_text(encoding="utf-8")
        ends = (-number, AGAIN, 130) if processes == 1 else (-number, 1, 130)
        assert status in ends, f"{command}, {whom}{number.name}: status {status}, {log[-3000:]}"
        errors = [line for line in log.splitlines() if line.startswith("error:") and ORPHANED not in line]
        assert not errors, errors
        assert number == signal.SIGKILL or took < GRACE, f"{command}, {whom}{number.name}: took {took:.1f} s to end"
        yield f"{whom}{number.name}, status {status}"


def compare(
    folder: Path, command: str, kills: int, seed: int, whole: dict[str, bytes], seconds: float, processes: int = 1
) -> Counter[str]:
    """Disturb a command and hold what it makes against `whole`; how often what ended it."""
    met = Counter(disturbed(folder, command, kills, random.Random(seed), whole, seconds, processes))
    left = sorted(str(path) for path in (folder / "work").iterdir()) if (folder / "work").is_dir() else []
    assert not left, f"{command}: leaves {left}"
    return met


def undisturbed(folder: Path, command: str, processes: int = 1) -> tuple[dict[str, bytes], float]:
    """What a command makes, and the seconds it takes."""
    started = time.monotonic()
    status = end(start(folder, command, processes))
    assert status == 0, (folder / "log").read_text(encoding="utf-8")[-3000:]
    seconds = time.monotonic() - started
    return made(folder, command), seconds


def main(
    kills: Annotated[int, typer.Option(min=1, help="of each command")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="of when and by what")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="that make a run together")] = 1,
) -> None:
    """Kill, start again and compare."""
    with tempfile.TemporaryDirectory() as place:
        study = make_study(Path(place))
        for command in MADE:
            whole, seconds = undisturbed(study, command, processes)
            met = compare(study, command, kills, seed, whole, seconds, processes)
            by = f" by {processes} processes" if processes > 1 else ""
            sys.stdout.write(f"{command}{by}: {kills} kills, the same bytes. {dict(sorted(met.items()))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
