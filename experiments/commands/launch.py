"""The missing points of `run`, handed to a cluster or made here as its jobs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

from benchmark.data.errors import ends_with
from benchmark.output.terminal import say, terminal
from experiments.cluster.job import StageJob
from experiments.cluster.points import LaunchError, find_missing, stale_stages
from experiments.cluster.queue import JOBS, SubmittedJob, check_slurm, job_name, run_here, submit_to_slurm
from experiments.commands import check
from experiments.config import load_params, resolve
from experiments.settings import ClusterConfig, ConfigError, Params, check_batch


def resources(config: ClusterConfig) -> str:
    """What each job asks for, in words."""
    where = f"partition {config.partition}" if config.partition is not None else "the default partition"
    return (
        f"each: {where}, {config.hours:g} h, {config.cpus} cores, {config.memory_gb:g} GB, {config.gpus} GPUs; "
        f"{config.at_once} at once at most"
    )


def main(executor: Literal["slurm", "local"], dry_run: bool) -> None:
    """Submit what is missing."""
    console, folder = terminal(soft_wrap=True), Path.cwd()
    check.main()
    with ends_with(ConfigError, LaunchError):
        params = load_params()
        if executor == "slurm" and not dry_run:
            check_slurm(folder)
        _check_gpus(params)
        missing = find_missing(params.run, stale_stages())
        if missing.inputs:
            raise LaunchError(
                f"{', '.join(missing.inputs)}: not up to date, and every job needs them; here, where there may be a "
                "network that nodes lack, first: dvc repro fetch foundation"
            )
        if not missing.report:
            say(console, "nothing is missing: every point of `run`, and the report, are up to date")
            return
        points = [StageJob(folder, stages, params.cluster.gpus) for stages in missing.points]
        report = StageJob(folder, missing.report)
        say(console, f"{len(points)} points and the report; {resources(params.cluster)}")
        if dry_run:
            for job in (*points, report):
                say(console, f"  {' '.join(job.stages)}")
        elif executor == "local":
            _report_failures(run_here(params.cluster, folder, points, report))
        else:
            submitted, last = submit_to_slurm(params.cluster, folder, points, report)
            for one, job in zip((*submitted, last), (*points, report), strict=True):
                say(console, f"  {one.job_id}: {' '.join(job.stages)}")
            say(console, f"follow: squeue --me --name={job_name(folder)}; tail -f {JOBS}/JOB_0_log.out")


def _check_gpus(params: Params) -> None:
    """Hold that the GPUs of a job can share the batches of each run.

    Raises:
        ConfigError: those of one cannot.
    """
    run = params.run
    for dataset, model, variant in itertools.product(run.datasets, run.models, run.variants):
        try:
            check_batch(resolve(params, dataset, model, variant, run.seeds[0]).train, max(1, params.cluster.gpus))
        except ConfigError as error:
            point = f"{dataset} x {model} x {variant}"
            raise ConfigError(f"cluster.gpus is {params.cluster.gpus}; {point}: {error}") from error


def _report_failures(failed: list[SubmittedJob]) -> None:
    """Raise an error that names the logs of jobs that failed, if any did."""
    if failed:
        logs = ", ".join(str(job.paths.stdout) for job in failed)
        raise LaunchError(f"{len(failed)} jobs failed, see {logs}; then the same command makes what is missing")
