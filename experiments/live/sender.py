"""The process that tells MLflow of one training: started, fed and ended by stream.py.

    python -m experiments.live.sender work/<fingerprint>/sender.lock

It reads lines of JSON: a record, lines of a curve, and {"status": ...} last. If they end without that, the training was
killed. It says a line after each time it spoke with the server: "", or what went wrong. It hears no signal: what stops
the training closes its input. The lock lets that of a training which was killed come to its end first.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from benchmark.output.secrets import mask
from experiments.records import Curves, Record, curves_of
from experiments.tracking import StartedRun, TrackingError, TrackingStore

DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PERIOD = 10.0  # seconds between two batches
RETRY = 60.0  # until the next try after one that failed
LAST = 10.0  # for the last batch; stream.py has less patience, but a training that was killed has none at all
LONGEST = 600  # signs of a message: no more than a pipe takes at once, however they are written
CUT = ""  # the status of a training that told none


def main(lock: Path) -> None:
    """Pass on all that is read, and end."""
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    os.nice(5)
    answers = Answers()
    threading.excepthook = lambda failed: answers.say(f"{failed.exc_type.__name__}: {failed.exc_value}")
    inbox: SimpleQueue[Any] = SimpleQueue()
    sender = threading.Thread(target=send, args=(inbox, answers, lock), daemon=True)
    sender.start()
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):  # the last one may be cut
            inbox.put(json.loads(line))
    inbox.put({"status": CUT})
    sender.join(LAST)
    os._exit(0)  # whatever hangs


class Answers:
    """What the training hears."""

    def __init__(self) -> None:
        """Take the output for oneself: MLflow prints, too."""
        self._output = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, fault: str) -> None:
        """How it went: "" is well."""
        try:
            os.write(self._output, json.dumps(mask(fault)[:LONGEST]).encode() + b"\n")
        except BrokenPipeError:  # it was killed, and there is still to say so
            return


def send(inbox: SimpleQueue[Any], answers: Answers, lock: Path) -> None:
    """Log what comes in, a batch at a time, until a status comes."""
    with lock.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        _send(inbox, answers)


def _send(inbox: SimpleQueue[Any], answers: Answers) -> None:
    record = Record(**inbox.get())
    store: TrackingStore | None = None
    run: StartedRun | None = None
    unsent: list[tuple[int, Curves]] = []  # with the time, so that a point which arrives twice is one
    status, due = None, time.monotonic()
    while status is None:
        lines, status = gather(inbox, due)
        unsent.append((int(time.time() * 1000), curves_of(lines)))
        if status == CUT:
            if run is None:  # MLflow knows of none
                return
            status = "KILLED"
        try:
            store = store or TrackingStore()
            run = run or store.start(record)
            for at, curves in unsent:
                store.log(run, curves, at)
            if status is not None:
                store.end(run, status)
        except TrackingError as error:
            run, due = None, time.monotonic() + RETRY
            answers.say(str(error))
        else:
            unsent.clear()
            due = time.monotonic() + PERIOD
            answers.say("")


def gather(inbox: SimpleQueue[Any], due: float) -> tuple[list[Mapping[str, Any]], str | None]:
    """The lines that come in until it is time to send them, or until the status that comes with them."""
    lines: list[Mapping[str, Any]] = []
    while True:
        try:
            message = inbox.get(timeout=max(0.0, due - time.monotonic()))
        except Empty:
            return lines, None
        if "status" in message:
            return lines, message["status"]
        lines.append(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))  # noqa: TID251  # not when it is imported
