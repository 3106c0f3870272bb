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

import psutil
import typer

from benchmark.output.terminal import say, terminal
from experiments.starters import rank_of_environment

AGAIN = 75  # EX_TEMPFAIL of sysexits.h: failed for now, try again
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WATCHED = ({"DVC_STAGE"}, {"TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"})  # what DVC and launchers leave behind


class Stopped(Exception):  # noqa: N818  # no error: what was asked for
    """Work ended because it was told to, and its state is kept; the message says where."""


class Stop:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self._signal: str | None = None
        # A killed DVC leaves its stages running, a killed launcher its ranks; other parents may well end before (nohup)
        self._watched = [names for names in WATCHED if names & os.environ.keys()]
        self._started_by = self._starters()

    def told(self, number: int, _: FrameType | None) -> None:
        """Take a signal. The next one does what it would have done without us, but for ranks: torchrun passes on what
        they may have heard already, and kills them if they take too long."""
        self._signal = signal.Signals(number).name
        if "TORCHELASTIC_RUN_ID" in os.environ:
            return
        for one in SIGNALS:
            if signal.getsignal(one) == self.told:
                signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)

    @property
    def asked(self) -> str | None:
        """By what, if at all."""
        if self._signal is None and self._starters() != self._started_by:
            return "the end of what started it"
        return self._signal

    def _starters(self) -> tuple[int, ...]:
        """The parent to watch, if there is one; a launcher's too, which DVC may have started."""
        if not self._watched:
            return ()
        parent = os.getppid()
        if len(self._watched) == 1 or parent == 1:
            return (parent,)
        try:
            return parent, psutil.Process(parent).ppid()
        except psutil.NoSuchProcess:  # it ends at this moment
            return (parent,)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Inside, signals are noted instead of obeyed; Stopped ends the command with AGAIN."""
    stop = Stop()
    heeded = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {one: signal.signal(one, stop.told) for one in heeded}
    try:
        yield stop
    except Stopped as stopped:
        if rank_of_environment() == 0:
            say(terminal(), f"stopped by {stop.asked or 'the end of another process'}: {stopped}")
        raise typer.Exit(AGAIN) from None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
