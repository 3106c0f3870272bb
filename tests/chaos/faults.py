"""What disks, files and other processes do to a training or an evaluation, done to the real commands.

Each fault meets a command of the small study of kills.py, most of them one that was killed half-way before. The
command says what is wrong and ends with nothing half-written, or passes over it and says so; once the fault is gone,
the same command ends with the bytes of a run that nobody disturbed. Full and read-only disks are mounted, as root.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.kills import MADE, end, made, start
from tests.servers import failing

PATIENCE = 120.0  # seconds until a command has kept something
KEPT = {"train": "work/*/step_*/state.json", "evaluate": "work/*/batches_0_of_1"}
Damage = Callable[[Path], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """What happens to a command.

    damage: of the study's folder; inside, it is so. said: a pattern of what the command says. ends: it ends well all
    the same. begun: it was killed half-way before. mounts: needs root.
    """

    command: str
    name: str
    damage: Damage
    said: str
    ends: bool = False
    begun: bool = True
    mounts: bool = False


def small_disk(place: str, room: int) -> Damage:
    """A disk at a folder with room for so many KiB beside what was in it; what is on it in the end stays there."""

    @contextmanager
    def damage(study: Path) -> Iterator[None]:
        there = study / place
        there.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as aside:
            shutil.copytree(there, aside, dirs_exist_ok=True)
            kept = int(_system("du", "--summarize", "--block-size=1K", aside).split()[0])
            _system("mount", "-t", "tmpfs", "-o", f"size={kept + room}k", "tmpfs", str(there))
            try:
                shutil.copytree(aside, there, dirs_exist_ok=True)
                yield
                shutil.rmtree(aside)
                shutil.copytree(there, aside)
            finally:
                _system("umount", str(there))
            shutil.rmtree(there)
            shutil.copytree(aside, there)

    return damage


def read_only(place: str) -> Damage:
    """A folder on a disk that cannot be written."""

    @contextmanager
    def damage(study: Path) -> Iterator[None]:
        there = study / place
        there.mkdir(exist_ok=True)
        _system("mount", "--bind", str(there), str(there))
        try:
            _system("mount", "-o", "remount,bind,ro", str(there))
            yield
        finally:
            _system("umount", str(there))

    return damage


def _system(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def left_so(pattern: str, how: Callable[[bytes], bytes | None], *, newest: bool = False) -> Damage:
    """Files of the study with other content, or gone (None). newest: only the last written."""

    @contextmanager
    def damage(study: Path) -> Iterator[None]:
        files = sorted(study.glob(pattern), key=lambda file: file.stat().st_mtime_ns)[-1 if newest else 0 :]
        assert files, f"{pattern}: nothing to damage"
        for file in files:
            content = how(file.read_bytes())
            file.unlink()
            if content is not None:
                file.write_bytes(content)
        yield

    return damage


def changed(pattern: str, how: Callable[[bytes], bytes | None]) -> Damage:
    """The same of files that people put back afterwards; what lies in work/ they would not."""

    @contextmanager
    def damage(study: Path) -> Iterator[None]:
        before = {file: file.read_bytes() for file in study.glob(pattern)}
        with left_so(pattern, how)(study):
            yield
        for file, content in before.items():
            file.write_bytes(content)

    return damage


def half(content: bytes) -> bytes:
    """What is left of a file that was cut."""
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """With one bit of its middle turned."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def gone(content: bytes) -> None:
    """Nothing."""


def by_another(command: str) -> Damage:
    """The same command is at work already, and stands still meanwhile."""

    @contextmanager
    def damage(study: Path) -> Iterator[None]:
        process = begin(study, command, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGKILL)
            end(process)

    return damage


@contextmanager
def told(address: str) -> Iterator[None]:
    """A training tells MLflow there of itself."""
    os.environ["MLFLOW_TRACKING_URI"] = address
    try:
        yield
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]


@contextmanager
def server_that_is_gone(study: Path) -> Iterator[None]:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with told(f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def server_that_hangs(study: Path) -> Iterator[None]:
    """A port where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server, told(f"http://127.0.0.1:{server.getsockname()[1]}"):
        yield


@contextmanager
def server_that_fails(study: Path) -> Iterator[None]:
    """One that answers 500."""
    with failing() as port, told(f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def locked_database(study: Path) -> Iterator[None]:
    """A database in which somebody else writes."""
    with sqlite3.connect(study / "locked.db") as database, told(f"sqlite:///{study / 'locked.db'}"):
        database.execute("BEGIN EXCLUSIVE")
        yield


STATES, RUN = "work/*/step_*", "runs/synthetic/mini/rsrefseg/0"
IMAGES = "data/synthetic/images"
WEIGHTS = "model.safetensors"
UNTOLD = "MLflow is not told of this training"
FAULTS = (
    Fault("train", "full disk: a state", small_disk("work", 100), "cannot be written .* Make room", mounts=True),
    Fault("train", "full disk: the first state", small_disk("work", 900), "none was kept", begun=False, mounts=True),
    Fault("train", "full disk: the trained run", small_disk("runs", 900), "No space left", mounts=True),
    Fault("train", "read-only disk: states", read_only("work"), "nothing can be written into", mounts=True),
    Fault("train", "read-only disk: the trained run", read_only("runs"), "Read-only", mounts=True),
    Fault("train", "newest state cut", left_so(f"{STATES}/optimizer.bin", half, newest=True), "not used", ends=True),
    Fault("train", "a bit turned in both states", left_so(f"{STATES}/{WEIGHTS}", flipped), "not used", ends=True),
    Fault(
        "train",
        "newest state without its list",
        left_so(f"{STATES}/state.json", gone, newest=True),
        "not used",
        ends=True,
    ),
    Fault("train", "the same training at work", by_another("train"), "is being worked on", begun=False),
    Fault("train", "training images lost", changed(f"{IMAGES}/train_*.png", gone), r"train_\d+.png does not exist"),
    Fault("train", "training images cut", changed(f"{IMAGES}/train_*.png", half), "cannot be read to its end"),
    Fault("train", "table of samples cut", changed("data/synthetic/samples.parquet", half), "fetch it again"),
    Fault("train", "params.yaml cut", changed("params.yaml", half), "params.yaml"),
    Fault("train", "MLflow's server is gone", server_that_is_gone, UNTOLD, ends=True),
    Fault("train", "MLflow's server hangs", server_that_hangs, UNTOLD, ends=True),
    Fault("train", "MLflow's server answers 500", server_that_fails, UNTOLD, ends=True),
    Fault("train", "MLflow's database is locked", locked_database, UNTOLD, ends=True),
    Fault("evaluate", "read-only disk: kept batches", read_only("work"), "nothing can be written into", mounts=True),
    Fault("evaluate", "full disk: the result", small_disk("results", 8), "No space left", mounts=True),
    Fault("evaluate", "read-only disk: the result", read_only("results"), "Read-only", mounts=True),
    Fault("evaluate", "kept batches cut", left_so(KEPT["evaluate"], half), "is not whole", ends=True),
    Fault("evaluate", "a bit turned in kept batches", left_so(KEPT["evaluate"], flipped), "is not whole", ends=True),
    Fault("evaluate", "the same evaluation at work", by_another("evaluate"), "is being worked on", begun=False),
    Fault("evaluate", "trained weights cut", changed(f"{RUN}/{WEIGHTS}", half), WEIGHTS),
    Fault(
        "evaluate",
        "a bit turned in foundation weights",
        changed("weights/mini/clip.safetensors", flipped),
        "its SHA-256 is",
    ),
    Fault("evaluate", "test images lost", changed(f"{IMAGES}/test_*.png", gone), r"test_\d+.png does not exist"),
)


def begin(study: Path, command: str, number: signal.Signals) -> int:
    """Start a command and send it a signal once it has kept something -> its process."""
    process, since = start(study, command), time.monotonic()
    while not any(_lines(file) > 1 for file in study.glob(KEPT[command])):
        assert time.monotonic() - since < PATIENCE, f"{command} keeps nothing"
        time.sleep(0.005)
    os.kill(process, number)
    return process


def _lines(file: Path) -> int:
    try:
        return file.read_bytes().count(b"\n")
    except FileNotFoundError:  # an older state, just removed
        return 0


def run(study: Path, command: str) -> tuple[int, str]:
    """Run a command -> its exit status, and what it said on one line."""
    (study / "log").unlink(missing_ok=True)
    status = end(start(study, command))
    return status, " ".join((study / "log").read_text(encoding="utf-8").split())


def survive(study: Path, fault: Fault, whole: dict[str, bytes]) -> str:
    """Let a fault happen and hold what the command makes in the end against `whole`.

    Returns:
        What the command said of the fault.

    Raises:
        AssertionError: it is not said, leaves something half-written, or something is lost by it.
    """
    result = study / MADE[fault.command][0]
    shutil.rmtree(result, ignore_errors=True)
    shutil.rmtree(study / "work", ignore_errors=True)
    if fault.begun:
        assert end(begin(study, fault.command, signal.SIGKILL)) == -signal.SIGKILL
    with fault.damage(study):
        status, said = run(study, fault.command)
    found = re.search(fault.said, said)
    assert found, said
    assert "Traceback" not in said, said
    assert status == (0 if fault.ends else 1), said
    if not fault.ends:
        assert not result.exists(), f"{result} is half-written"
        status, said = run(study, fault.command)
        assert status == 0, said
    assert made(study, fault.command) == whole, "other bytes than undisturbed"
    left = sorted(str(path) for path in study.glob("work/*"))
    assert not left, f"leaves {left}"
    return found.group()
