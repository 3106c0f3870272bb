"""What is submitted, and that nothing is where something is wrong. The clusters are a few shell scripts here, and, in
the slow test, a real SLURM."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
import yaml

from experiments import launch
from experiments.cluster.queue import job_name
from experiments.commands import check
from experiments.commands import launch as work
from tests import slurm
from tests.clones import in_clone, make_clone

ROOT = Path(__file__).parents[2]
STALE = {f"{stage}@synthetic-mini-{name}-0" for stage in ("train", "evaluate") for name in ("rsrefseg", "no_lora")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which two runs are missing, and a SLURM that writes down how it is called and what it is given."""
    folder, tools = tmp_path / "project", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(check, "main", lambda: None)  # tests of its own
    monkeypatch.setattr(work, "stale_stages", lambda: STALE)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    write(tools, "srun", "exit 1")
    write(tools, "squeue", "true")
    write(tools, "scancel", f'echo "scancel $@" >> {tmp_path}/calls')
    write(
        tools,
        "sbatch",
        f'cat "$1" >> {tmp_path}/scripts; echo Submitted batch job 1$(grep -c bin/bash {tmp_path}/scripts)',
    )
    return folder


def write(tools: Path, name: str, does: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{does}\n")
    (tools / name).chmod(0o755)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, its line breaks undone."""
    return " ".join(" ".join(capsys.readouterr()).split())


def refused(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    """The message with which nothing is submitted or written."""
    with pytest.raises(SystemExit, match="1"):
        launch.main()
    assert not (folder.parent / "scripts").exists()
    assert {path.name for path in folder.iterdir()} == {"params.yaml"}
    return said(capsys)


def test_each_missing_point_is_a_job_of_an_array_and_the_report_waits_for_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch.main()
    assert "11_1: train@synthetic-mini-no_lora-0 evaluate@synthetic-mini-no_lora-0 12: cases@" in said(capsys)
    array, report = (project.parent / "scripts").read_text().split("#!/bin/bash")[1:]
    for line in (
        "--array=0-1%2", "--requeue", "--signal=B:TERM@120", "--time=1440", "--mem=32768MB", "--cpus-per-task=4",
        "--gpus-per-node=1", f"--job-name={job_name(project)}", f"--output={project}/work/jobs/%A_%a_0_log.out",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in array
    assert "partition" not in array
    assert f"\nexec {sys.executable} " in array
    assert "srun" not in array
    assert "#SBATCH --dependency=afterok:11\n" in report
    assert "#SBATCH --kill-on-invalid-dep=yes\n" in report


def test_a_dry_run_says_what_would_be_submitted_without_any_slurm(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    launch.main(dry_run=True)
    told = said(capsys)
    assert "2 points and the report; each: the default partition, 24 h, 4 cores, 32 GB, 1 GPUs" in told
    assert "train@synthetic-mini-rsrefseg-0 evaluate@synthetic-mini-rsrefseg-0" in told
    assert {path.name for path in project.iterdir()} == {"params.yaml"}


def test_a_slurm_that_cannot_be_used_is_an_error_before_anything_is_submitted(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = project.parent / "bin"
    write(tools, "squeue", "echo 'squeue: error: one\nslurm_load_jobs error: Unable to contact' >&2; exit 1")
    assert "SLURM does not answer: slurm_load_jobs error: Unable to contact; try again" in refused(capsys, project)
    write(tools, "squeue", "echo '3_[0-1]\n4'")
    assert "2 jobs of this folder are still in the queue (3_[0-1] 4)" in refused(capsys, project)
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no sbatch here" in refused(capsys, project)


def test_gpus_that_cannot_share_a_batch_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(re.sub(r"gpus: 1\b", "gpus: 3", params), encoding="utf-8")
    told = refused(capsys, project)
    assert (
        "cluster.gpus is 3; synthetic x mini x rsrefseg: train.batch_size is 4, which 3 processes cannot share" in told
    )


def test_what_every_job_needs_must_have_been_made(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "stale_stages", lambda: {*STALE, "fetch@synthetic"})
    assert "fetch@synthetic: not up to date" in refused(capsys, project)


def test_resources_that_cannot_be_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for key, value, message in (
        ("gpus", -1, "cluster.gpus = -1"),
        ("gpus", True, "cluster.gpus = True"),
        ("cpus", 0, "cluster.cpus = 0"),
        ("hours", 0, "cluster.hours = 0"),
        ("hours", float("inf"), "cluster.hours = inf"),
        ("memory_gb", -4, "cluster.memory_gb = -4"),
        ("at_once", 0, "cluster.at_once = 0"),
        ("partition", "a b", "cluster.partition = 'a b'"),
        ("partiton", "gpu", "cluster.partiton: unknown key; did you mean 'partition'?"),
    ):
        changed = params | {"cluster": params["cluster"] | {key: value}}
        (project / "params.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        told = refused(capsys, project)
        assert message in told
        assert "params.yaml" in told


def test_an_array_is_taken_back_when_its_report_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = "echo 'sbatch: error: Batch job submission failed: Invalid partition name' >&2; exit 1"
    write(project.parent / "bin", "sbatch", f"grep -q afterok $1 && {{ {refusal}; }}; echo Submitted batch job 11")
    with pytest.raises(SystemExit, match="1"):
        launch.main()
    assert "SLURM does not take the jobs: sbatch: error: Batch job submission failed" in said(capsys)
    assert (project.parent / "calls").read_text() == "scancel 11\n"


MADE = {
    "runs": ("model.safetensors", "curve.csv"),
    "results": ("samples.parquet", "predictions.parquet", "sweep.parquet", "metrics.json"),
}


def made(folder: Path) -> dict[str, bytes]:
    """What every run and baseline left that must be the same again."""
    files = [file for room, names in MADE.items() for name in names for file in (folder / room).glob(f"*/*/*/*/{name}")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(slurm.lacking() is not None, reason=str(slurm.lacking()))
def test_six_runs_on_a_real_slurm_one_of_them_preempted_are_those_of_dvc_repro(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"variants": ["rsrefseg", "no_lora"], "seeds": [0, 1, 2], "controls": ["heat_map_point"]}
    cluster = {"cpus": 1, "memory_gb": 2, "gpus": 0, "hours": 1}
    sections = {"checkpoint": {"minutes": 0}, "cluster": cluster}
    folder = make_clone(tmp_path / "launched", run, {"epochs": 8}, **sections)
    in_clone(folder, "dvc", "repro", "fetch", "foundation")
    launching = (sys.executable, "-m", "experiments.launch")
    with slurm.running(tmp_path / "slurm") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def queue() -> str:
            return in_clone(folder, "squeue", "--noheader", "--me")

        in_clone(folder, *launching)
        with pytest.raises(AssertionError, match="8 jobs of this folder are still in the queue"):
            in_clone(folder, *launching)
        while not list(folder.glob("work/*/step_*")):
            assert queue(), "no training has kept a state"
            time.sleep(0.5)
        in_clone(folder, "sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 1")
        while queue():
            time.sleep(2)
    logs = [file.read_text(encoding="utf-8") for file in folder.glob("work/jobs/*.out")]
    # what the first process says last is lost where DVC takes longer than KillWait to end, as on a busy machine
    assert any("stopped by SIGINT" in log and "goes on after step" in log for log in logs), logs
    assert json.loads(in_clone(folder, "dvc", "status", "--json").splitlines()[-1]) == {}
    assert (folder / "reports" / "generated" / "index.html").is_file()
    other = make_clone(tmp_path / "repro", run, {"epochs": 8}, **sections)
    in_clone(other, "dvc", "repro", "evaluate", "control")
    found, due = made(folder), made(other)
    assert len(due) == 6 * 6 + 4
    assert found == due
