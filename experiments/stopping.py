"""Being told to stop: SIGTERM (SLURM, a container), Ctrl-C, a closed terminal, or a `dvc repro` that is gone.

What works for long looks between two steps whether it was told, keeps its state and ends with the exit status AGAIN:
the same command goes on. Told a second time, it ends at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from benchmark.output.terminal import say, terminal

AGAIN = 75  # EX_TEMPFAIL of sysexits.h: failed for now, try again
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(Exception):  # noqa: N818  # no error: what was asked for
    """Work ended because it was told to, and its state is kept; the message says where."""


class Stop:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self._signal: str | None = None
        # A killed DVC leaves its stages running. Elsewhere a parent may well end before (nohup).
        self._parent = os.getppid() if "DVC_STAGE" in os.environ else None

    def told(self, number: int, _: FrameType | None) -> None:
        """Take a signal. The next one does what it would have done without us."""
        self._signal = signal.Signals(number).name
        for one in SIGNALS:
            if signal.getsignal(one) == self.told:
                signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)

    @property
    def asked(self) -> str | None:
        """By what, if at all."""
        if self._signal is None and self._parent is not None and os.getppid() != self._parent:
            return "the end of dvc"
        return self._signal


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Inside, signals are noted instead of obeyed; Stopped ends the command with AGAIN."""
    stop = Stop()
    heeded = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {one: signal.signal(one, stop.told) for one in heeded}
    try:
        yield stop
    except Stopped as stopped:
        say(terminal(), f"stopped by {stop.asked}: {stopped}")
        raise typer.Exit(AGAIN) from None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
