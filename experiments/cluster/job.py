"""What runs in a job: DVC on a few stages, and what happens when the job is told to stop.

SLURM stops a job by SIGTERM, to its first process or to all of them, sometimes twice, and kills it half a minute later.
Here only the first process hears it: DVC must not end while it writes dvc.lock, and a training that is told twice keeps
nothing. The first process tells the stage, once, by SIGINT; waits until its state is kept; and puts the job back into
the queue, unless SLURM has cancelled or requeued it already.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
import submitit
from submitit.local.local import LOCAL_REQUEUE_RETURN_CODE

from benchmark.output.terminal import say, terminal
from experiments.cluster.points import DVC
from experiments.stopping import AGAIN

TOLD_BY = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)  # SLURM; Ctrl-C; submitit's local executor at the time limit
DEAF_TO = (signal.SIGTERM, signal.SIGUSR2)
PAUSE = 0.1  # seconds between two looks; submitit, at Ctrl-C, leaves this process one second


class JobError(RuntimeError):
    """A stage failed; its job's log says why."""


@dataclass(frozen=True)
class StageJob:
    """Makes stages one after the other, those that are not up to date. What submitit runs in a job.

    folder: the project's. processes: that make a run together (experiments/ranks.py). Raises JobError if a stage fails.
    """

    folder: Path
    stages: tuple[str, ...]
    processes: int = 1

    def __call__(self) -> None:
        told: list[int] = []

        def note(number: int, _: FrameType | None) -> None:
            told.append(number)

        for number in TOLD_BY:  # a handler, unlike SIG_IGN, is not inherited
            signal.signal(number, note)
        command = [*DVC, "repro", "--single-item", *self.stages]
        say(terminal(soft_wrap=True), " ".join(command))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # ACCELERATE says itself how many (experiments/ranks.py)
        several = self.processes > 1 and "ACCELERATE" not in os.environ
        together = {"TORCHRUN": f"--standalone --nproc-per-node={self.processes}"} if several else {}
        dvc = subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, "PATH": path, **together}, start_new_session=True,
            preexec_fn=_deaf,
        )  # fmt: skip
        status, heard = None, set[psutil.Process]()
        while status is None:
            try:
                status = dvc.wait(PAUSE)
            except subprocess.TimeoutExpired:
                if told:
                    _tell(dvc.pid, heard)
        if status != 0 and told:
            say(terminal(), f"stopped by {signal.Signals(told[0]).name}")
            _run_again()
        if status != 0:
            raise JobError(f"{' '.join(self.stages)}: dvc ended with status {status}; what it said is above")


def _deaf() -> None:
    """In the process that becomes DVC; what it starts inherits it."""
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)


def _tell(dvc: int, heard: set[psutil.Process]) -> None:
    """Tell the stages that DVC runs, but for those that `heard` it already."""
    try:
        for stage in set(psutil.Process(dvc).children(recursive=True)) - heard:
            heard.add(stage)
            stage.send_signal(signal.SIGINT)
    except psutil.NoSuchProcess:
        return  # it has just ended


def _run_again() -> NoReturn:
    """End this process; its job is started again if nobody has decided otherwise."""
    environment = submitit.JobEnvironment()
    if environment.cluster == "local":
        raise SystemExit(LOCAL_REQUEUE_RETURN_CODE)
    number = environment.raw_job_id
    asked = ["squeue", "--noheader", f"--jobs={number}", "--format=%T"]
    state = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if state == "RUNNING":  # a cancelled job would be brought back to life
        subprocess.run(["scontrol", "requeue", number], check=True)
    raise SystemExit(AGAIN)
