"""What a training tells of itself while it runs, and the process that passes it on to MLflow.

The training imports nothing of MLflow and never waits for it: it writes lines into a pipe as far as they fit, every
few steps, and reads what the other process says. That one (sender.py) alone speaks with the server; the end of the
pipe is how it learns that the training was killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.output.terminal import say
from experiments.preflight.server import VARIABLE
from experiments.records import Record
from experiments.stopping import Stopped

ROOT = Path(__file__).parents[2]
SILENCE = 60.0  # seconds until a server that has said nothing, not even an error, is called silent
LAST = 3.0  # seconds to wait at the end for a server that answered; a training of mini takes minutes
FAULTY = 0.1  # and for one that did not
REMEDY = f"start the server, or correct or unset {VARIABLE}"


class Stream:
    """The curve of one training, told to MLflow by another process.

    record: what is known of the run before it is trained. folder: work/<fingerprint>. console: for the one warning.
    """

    def __init__(self, record: Record, folder: Path, console: Console) -> None:
        self._console, self._server = console, os.environ[VARIABLE]
        self._told, self._unsent = 0, b""
        self._warned = self._faulty = False
        self._asked: float | None = None  # since when there was no answer
        self._process: subprocess.Popen[bytes] | None = None
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "experiments.live.sender", str(folder / "sender.lock")],
                env={**os.environ, "PYTHONPATH": paths}, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, process_group=0,  # Ctrl-C is for the training alone
            )  # fmt: skip
        except OSError as error:
            self._warn(f"no process can be started ({error})")
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pipes = self._process.stdin.fileno(), self._process.stdout.fileno()
        for pipe in self._pipes:
            os.set_blocking(pipe, False)
        self._send([asdict(record)])

    def tell(self, curve: Sequence[Mapping[str, Any]]) -> None:
        """Pass on what a curve has more than when it was last told."""
        if self._process is None or len(curve) == self._told:
            return
        self._listen()
        self._send(curve[self._told :])
        self._told = len(curve)

    def end(self, status: str) -> None:
        """Say how the training ended: FINISHED, KILLED or FAILED. No process is left."""
        self._send([{"status": status}])
        if self._process is None:
            return
        patience = FAULTY if self._faulty else LAST
        try:
            said, _ = self._process.communicate(self._unsent, timeout=patience)
            self._heard(said)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            self._warn(f"{self._server} gave no answer in its last {patience:g} s; {REMEDY}")
        self._process = None

    def _send(self, messages: Iterable[Any]) -> None:
        """Write as much of it as the pipe takes now, after what is left from before."""
        if self._process is None:
            return
        self._asked = self._asked or time.monotonic()
        self._unsent += "".join(f"{json.dumps(message)}\n" for message in messages).encode()
        try:
            self._unsent = self._unsent[os.write(self._pipes[0], self._unsent) :]
        except BlockingIOError:  # the pipe is full; next time
            return
        except BrokenPipeError:
            self._ended()

    def _listen(self) -> None:
        """Read what the other process has said so far."""
        try:
            said = os.read(self._pipes[1], 1 << 16)
        except BlockingIOError:
            if self._asked is not None and time.monotonic() - self._asked > SILENCE:
                self._faulty = True
                self._warn(f"{self._server} gives no answer for {SILENCE:g} s; {REMEDY}")
            return
        if said:
            self._heard(said)
        else:
            self._ended()

    def _heard(self, said: bytes) -> None:
        """Lines: "" where all went well, else what did not."""
        for fault in map(json.loads, said.splitlines()):
            self._faulty, self._asked = bool(fault), None
            if fault:
                self._warn(fault)

    def _ended(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None
        self._warn("the process that tells it has ended")

    def _warn(self, reason: str) -> None:
        if not self._warned:
            text = (
                f"warning: MLflow is not told of this training: {reason}. The training goes on, and `python -m "
                "experiments.collect` completes its run once it is evaluated"
            )
            say(self._console, text, style="bold yellow")
        self._warned = True


@contextmanager
def streaming(record: Record, folder: Path, console: Console) -> Iterator[Stream | None]:
    """A stream for what is trained inside, which also tells how that ends; arguments as of Stream. None where
    MLFLOW_TRACKING_URI is not set: mlflow.db is filled by `collect` alone."""
    if not os.environ.get(VARIABLE):
        yield None
        return
    stream, status = Stream(record, folder, console), "FAILED"
    try:
        yield stream
        status = "FINISHED"
    except (Stopped, KeyboardInterrupt):
        status = "KILLED"
        raise
    finally:
        stream.end(status)
