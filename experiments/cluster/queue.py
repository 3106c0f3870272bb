"""Jobs into the queue of SLURM, or run on this machine, by submitit: an array of points, then the report.

submitit keeps what it needs and the logs in work/jobs, which the nodes must see, too.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from experiments.cluster.job import StageJob
from experiments.cluster.points import LaunchError
from experiments.settings import ClusterConfig

JOBS = Path("work") / "jobs"
NOTICE = 120  # seconds before its time limit a job is told; SLURM may do it up to a minute earlier
PAUSE = 0.5  # seconds between two looks at local jobs

SubmittedJob = submitit.Job[None]


def job_name(folder: Path) -> str:
    """The name of all jobs of one project folder."""
    return f"rsrefseg-bench-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def slurm_settings(config: ClusterConfig, folder: Path) -> dict[str, Any]:
    """What a job asks of SLURM, in submitit's words."""
    settings: dict[str, Any] = {
        "job_name": job_name(folder),
        "time": round(60 * config.hours),
        "cpus_per_task": config.cpus,
        "mem": f"{round(1024 * config.memory_gb)}MB",
        "array_parallelism": config.at_once,
        "stderr_to_stdout": True,
        "use_srun": False,  # srun ends its step when it is told itself
        "additional_parameters": {"requeue": True, "signal": f"B:TERM@{NOTICE}"},  # B: to the job's first process
    }
    if config.partition is not None:
        settings["partition"] = config.partition
    if config.gpus:
        settings["gpus_per_node"] = config.gpus
    return settings


def check_slurm(folder: Path) -> None:
    """See that jobs can be submitted from here and that none of this folder are in the queue.

    Raises:
        LaunchError: they cannot, they are, or SLURM does not answer.
    """
    if shutil.which("sbatch") is None:
        raise LaunchError(
            "no sbatch here, so no SLURM: run this where jobs are submitted, on a login node; or, on this machine "
            "alone, with --executor local"
        )
    asked = ["squeue", "--noheader", "--me", "--array", f"--name={job_name(folder)}", "--format=%i"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaunchError(
            f"SLURM does not answer: {_last_line(done.stderr)}; try again when `sinfo` does, "
            "or run on this machine alone, with --executor local"
        )
    if waiting := done.stdout.split():
        raise LaunchError(
            f"{len(waiting)} jobs of this folder are still in the queue ({' '.join(waiting[:4])}): wait for them, or "
            f"scancel --me --name={job_name(folder)}"
        )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def submit_to_slurm(
    config: ClusterConfig, folder: Path, points: Sequence[StageJob], report: StageJob
) -> tuple[list[SubmittedJob], SubmittedJob]:
    """An array of a job for each point, and the job of the report, which waits until all of them have succeeded.

    Raises:
        LaunchError: SLURM does not take them; with what it says. None is left in the queue.
    """
    settings = slurm_settings(config, folder)
    # exec: the batch script becomes the job's first process
    executor = submitit.SlurmExecutor(folder / JOBS, python=f"exec {shlex.quote(sys.executable)}")
    jobs: list[SubmittedJob] = []
    try:
        if points:
            executor.update_parameters(**settings)
            jobs = executor.submit_array(points)
            array = jobs[0].job_id.partition("_")[0]
            settings["additional_parameters"] |= {"dependency": f"afterok:{array}", "kill-on-invalid-dep": "yes"}
        executor.update_parameters(**settings)
        return jobs, executor.submit(report)
    except FailedJobError as error:
        if jobs:
            subprocess.run(["scancel", jobs[0].job_id.partition("_")[0]], check=False)
        raise LaunchError(
            f"SLURM does not take the jobs: {_last_line(str(error))}; correct `cluster` in params.yaml"
        ) from error


def run_here(config: ClusterConfig, folder: Path, points: Sequence[StageJob], report: StageJob) -> list[SubmittedJob]:
    """Run the same jobs on this machine, as many at once as it has processors for, one if they ask for a GPU.

    Returns:
        The jobs that failed; the report is made if there are none.
    """
    executor = submitit.LocalExecutor(folder / JOBS)
    executor.update_parameters(
        timeout_min=60 * config.hours, gpus_per_node=config.gpus, signal_delay_s=NOTICE, stderr_to_stdout=True
    )
    room = 1 if config.gpus else max(1, min(config.at_once, len(os.sched_getaffinity(0)) // config.cpus))
    waiting, running, failed = list(points)[::-1], list[SubmittedJob](), list[SubmittedJob]()
    while waiting or running:
        while waiting and len(running) < room:
            running.append(executor.submit(waiting.pop()))
        time.sleep(PAUSE)
        for job in [one for one in running if one.done()]:
            running.remove(job)
            failed += [job] if job.exception() is not None else []
    if not failed:
        last = executor.submit(report)
        failed += [last] if last.exception() is not None else []
    return failed
