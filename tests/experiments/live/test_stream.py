"""MLflow is told of a training by a process of its own, and whatever its server does, the training is the same."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console

from benchmark.data.samples import Dataset
from benchmark.results.provenance import Meta
from experiments.live import stream
from experiments.live.stream import Stream, streaming
from experiments.records import curves_of, training_record
from experiments.runs import TrainedRun
from experiments.stopping import AGAIN, Stopped
from experiments.tracking import TrackingStore
from experiments.training.loop import fit
from models.rsrefseg import RSRefSeg
from tests.experiments.test_mlflow_ui import serve
from tests.experiments.training.test_loop import tiny_experiment
from tests.servers import failing

ROOT = Path(__file__).parents[3]
VARIABLE = "MLFLOW_TRACKING_URI"
CONFIG = tiny_experiment()
META = Meta(git_commit="fa4e" * 10, git_dirty=False, device="cpu (1 threads)", versions={})
RECORD = training_record(CONFIG, "f" * 64, META)
CURVE = [
    {"epoch": 1, "step": step, "loss": 1 / step, "lr": 1e-3, "val_miou": miou, "collapsed": None}
    for step, miou in ((10, None), (20, None), (30, None), (30, 0.25))
]


def console() -> tuple[Console, io.StringIO]:
    printed = io.StringIO()
    return Console(file=printed, width=1000), printed


def runs(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def points(uri: str) -> dict[str, list[tuple[int, float]]]:
    client, (run,) = MlflowClient(uri), runs(uri)
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: sorted((point.step, point.value) for point in history) for name, history in histories.items()}


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.1)


def senders(folder: Path) -> list[psutil.Process]:
    """The processes that tell of the training in a folder."""
    return [
        one for one in psutil.process_iter(["cmdline"]) if str(folder / "sender.lock") in (one.info["cmdline"] or [])
    ]


# On a server that answers


def test_a_run_is_killed_goes_on_loses_its_server_and_is_completed_by_its_result(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LAST", 60.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    database = f"sqlite:///{shutil.copy(empty_database, tmp_path)}"
    MlflowClient(database).create_experiment("synthetic", (tmp_path / "mlartifacts").as_uri())
    said, printed = console()
    with serve(tmp_path / "mlflow.db") as address:
        monkeypatch.setenv(VARIABLE, address)
        with pytest.raises(Stopped):  # noqa: SIM117, PT012  # it is what ends the stream
            with streaming(RECORD, tmp_path, said) as live:
                assert live is not None
                live.tell(CURVE[:1])
                live.tell(CURVE[:2])
                raise Stopped
        (first,) = runs(address)
        assert first.info.status == "KILLED"
        assert first.info.run_name == "rsrefseg · synthetic · mini · 0"
        assert first.data.params["train.lr"] == "0.01"
        assert points(address) == curves_of(CURVE[:2])
        live = Stream(RECORD, tmp_path, said)
        live.tell(CURVE[:3])  # from its state, and one more
        wait_for(lambda: points(address) == curves_of(CURVE[:3]))
        assert [run.info.status for run in runs(address)] == ["RUNNING"]
    assert printed.getvalue() == ""
    live.tell(CURVE)
    live.end("FINISHED")
    assert printed.getvalue().count("warning: MLflow is not told of this training") == 1
    assert senders(tmp_path) == []
    result = replace(RECORD, curves=curves_of(CURVE), metrics={"test/miou": 0.5}, sha256="a" * 64)
    assert TrackingStore(database).put(result) == "completed"
    (run,) = runs(database)
    assert (run.info.run_id, run.info.status) == (first.info.run_id, "FINISHED")
    assert points(database) == {**result.curves, "test/miou": [(0, 0.5)]}


# On one that does not


class Several:
    """A stream to each of several servers."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams

    def tell(self, curve: Sequence[Mapping[str, Any]]) -> None:
        for one in self.streams:
            one.tell(curve)


def trained(dataset: Dataset, weights: Path, live: Any = None) -> TrainedRun:
    set_seed(CONFIG.seed)
    model = RSRefSeg.from_foundation(CONFIG.model, weights)
    return fit(model, dataset, CONFIG, Accelerator(cpu=True), Console(quiet=True), stream=live)


@pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads 10 tokens
def test_whatever_a_server_does_the_training_is_the_same_and_there_is_one_warning(
    dataset: Dataset, weights: Path, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as closing:
        closed = closing.getsockname()[1]
    locked = f"sqlite:///{shutil.copy(empty_database, tmp_path)}"
    with socket.create_server(("127.0.0.1", 0)) as hanging, failing() as faulty:
        lock = sqlite3.connect(locked.removeprefix("sqlite:///"))
        lock.execute("BEGIN EXCLUSIVE")
        servers = {
            f"http://me:geheim@127.0.0.1:{closed}": "Connection refused",
            f"http://me:geheim@127.0.0.1:{hanging.getsockname()[1]}": "timed out",
            f"http://me:geheim@127.0.0.1:{faulty}": "500",
            locked: "gave no answer in its last 1 s",  # it tries for minutes
        }
        streams = []
        for number, uri in enumerate(servers):
            monkeypatch.setenv(VARIABLE, uri)
            said, printed = console()
            (tmp_path / str(number)).mkdir()
            streams.append((Stream(RECORD, tmp_path / str(number), said), printed))
        run = trained(dataset, weights, Several([one for one, _ in streams]))
        for (one, printed), (uri, fault) in zip(streams, servers.items(), strict=True):
            monkeypatch.setattr(stream, "LAST", 1.0 if uri == locked else 60.0)
            one.end("FINISHED")
            assert printed.getvalue().count("warning:") == 1
            for text in (fault, uri.replace("me:geheim", "***"), "`python -m experiments.collect` completes its run"):
                assert text in printed.getvalue()
            assert "geheim" not in printed.getvalue()
        lock.close()
    assert not any(senders(tmp_path / str(number)) for number in range(len(servers)))
    undisturbed = trained(dataset, weights)
    assert run.curve.equals(undisturbed.curve)
    assert all(torch.equal(run.state[name], undisturbed.state[name]) for name in undisturbed.state)
    result = replace(RECORD, curves=curves_of(run.curve.to_dict("records")), sha256="a" * 64)
    assert TrackingStore(locked).put(result) == "new"
    assert points(locked) == result.curves


def test_without_an_address_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with streaming(RECORD, tmp_path, Console(quiet=True)) as live:
        assert live is None
    assert list(tmp_path.iterdir()) == []


# Killed

CHILD = """
import json, sys, time, typer
from pathlib import Path
from rich.console import Console
from experiments.live import stream
from experiments.records import Record
from experiments.stopping import Stopped, stoppable

stream.LAST = 60.0  # on a busy machine

def main(folder: Path) -> None:
    record, curve = json.loads(Path(folder / "told.json").read_text())
    with stoppable() as stop, stream.streaming(Record(**record), folder, Console()) as live:
        live.tell(curve)
        while not stop.asked:
            time.sleep(0.02)
        raise Stopped("kept")

typer.run(main)
"""


@contextmanager
def told(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has told MLflow of a training, by a database in a folder, and goes on."""
    (folder / "told.json").write_text(json.dumps([asdict(RECORD), CURVE[:2]]))
    environment = {**os.environ, VARIABLE: f"sqlite:///{folder}/mlflow.db", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], env=environment, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_training_that_is_stopped_or_killed_is_so_in_mlflow_and_leaves_no_process(
    empty_database: Path, tmp_path: Path
) -> None:
    stopped, killed = tmp_path / "stopped", tmp_path / "killed"
    for folder in (stopped, killed):
        folder.mkdir()
        shutil.copy(empty_database, folder)
    with told(stopped) as first, told(killed) as second:
        for folder in (stopped, killed):
            wait_for(lambda folder=folder: bool(runs(f"sqlite:///{folder}/mlflow.db")))  # type: ignore[misc]
        for sender in senders(stopped):
            sender.send_signal(signal.SIGTERM)  # as SLURM does, to all processes of a job
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does, to all in its foreground
        second.kill()
        assert first.wait(120) == AGAIN
        assert senders(stopped) == []
        wait_for(lambda: senders(killed) == [])  # it has still to say so
    for folder in (stopped, killed):
        (run,) = runs(f"sqlite:///{folder}/mlflow.db")
        assert run.info.status == "KILLED"
        assert points(f"sqlite:///{folder}/mlflow.db") == curves_of(CURVE[:2])
