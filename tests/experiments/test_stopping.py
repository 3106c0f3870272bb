"""Signals, and a DVC that is gone, as a process of its own meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from experiments.stopping import AGAIN

CHILD = """
import os, time, typer
from experiments.stopping import Stopped, stoppable

def main() -> None:
    with stoppable() as stop:
        print(os.getpid(), flush=True)
        while not stop.asked:
            time.sleep(0.02)
        if "DEAF" in os.environ:
            print("told", flush=True)
            time.sleep(600)
        raise Stopped("kept")

typer.run(main)
"""


Child = tuple[subprocess.Popen[str], int]


@contextmanager
def child(*shell: str, ignored: signal.Signals | None = None, **environment: str) -> Iterator[Child]:
    """A process that waits to be told, or a shell with it; and its number."""

    def start() -> None:
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # nohup's child ignores one, a shell's another
            signal.signal(one, signal.SIG_DFL)
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    command = [*shell, f"{sys.executable} -c '{CHILD}' & wait"] if shell else [sys.executable, "-c", CHILD]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, preexec_fn=start
    )
    assert started.stdout is not None
    number = int(started.stdout.readline())
    try:
        yield started, number
    finally:
        started.kill()
        started.stdout.close()
        started.wait()


def said(process: subprocess.Popen[str]) -> str:
    """All that is written until the last writer has ended."""
    assert process.stdout is not None
    return process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_is_told_to_stop_says_by_what_and_asks_to_be_run_again(number: signal.Signals) -> None:
    with child() as (process, _):
        process.send_signal(number)
        assert f"stopped by {number.name}: kept" in said(process)
        assert process.wait() == AGAIN


def test_told_twice_it_ends_at_once() -> None:
    with child(DEAF="1") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_nohup_is_obeyed() -> None:
    with child(ignored=signal.SIGHUP) as (process, _):
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert "stopped by SIGTERM" in said(process)


def test_a_stage_stops_when_its_dvc_is_killed_or_its_launcher_and_no_other_process_when_its_shell_is() -> None:
    for started in ({"DVC_STAGE": "train"}, {"ACCELERATE_MIXED_PRECISION": "bf16"}):
        with child("sh", "-c", **started) as (shell, _):
            shell.kill()
            assert "stopped by the end of what started it: kept" in said(shell)
    with child("sh", "-c") as (shell, number):
        shell.kill()
        shell.wait()
        os.kill(number, signal.SIGTERM)  # it is still there
        assert "stopped by SIGTERM: kept" in said(shell)
