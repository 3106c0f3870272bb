"""What a person sees in `mlflow ui` on a filled store, asked for as the pages ask for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from experiments.commands.collect import collect
from tests.browser import browse, needs_chromium, screenshot


@contextmanager
def serve(store: Path) -> Iterator[str]:
    """The address of `mlflow ui` on a database, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        command, env=environment, cwd=store.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, "mlflow ui ended"
                assert time.monotonic() < until, "mlflow ui does not answer"
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def address(fake_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("ui") / "mlflow.db"
    collect(fake_results / "results", store.with_name("runs.csv"), f"sqlite:///{store}")
    with serve(store) as found:
        yield found


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def runs_of(address: str, **filters: str) -> list[dict[str, Any]]:
    name = urllib.parse.quote("fake_scenes")
    experiment = ask(f"{address}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name={name}")["experiment"]
    body = {"experiment_ids": [experiment["experiment_id"]], **filters}
    runs: list[dict[str, Any]] = ask(f"{address}/ajax-api/2.0/mlflow/runs/search", body)["runs"]
    return runs


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_every_run_is_there_by_a_name_a_person_knows_and_described(address: str) -> None:
    runs = runs_of(address)
    names = {run["info"]["run_name"] for run in runs}
    assert len(runs) == len(names) == 8
    assert "no_lora · fake_scenes · tiny · 0" in names
    for run in runs:
        tags = tags_of(run)
        assert tags["mlflow.note.content"].startswith(f"**{tags['variant']}**")
        assert run["info"]["status"] == "FINISHED"


def test_runs_can_be_grouped_and_filtered_by_their_tags(address: str) -> None:
    assert {tags_of(run)["variant"] for run in runs_of(address, filter="tags.control = 'true'")} == {
        "whole_image", "clip_heat_map", "heat_map_point",
    }  # fmt: skip
    best = runs_of(address, filter="tags.control = 'false'", order_by=["metrics.`test/miou` DESC"])
    assert tags_of(best[0])["variant"] == "rsrefseg"
    metrics = {metric["key"] for metric in best[0]["data"]["metrics"]}
    assert {"test/miou", "test/oiou", "test/precision_0.5", "train/loss", "val/miou"} <= metrics


@pytest.mark.parametrize(("metric", "points"), [("train/loss", 60), ("val/miou", 3)])
def test_a_chart_gets_the_curves_of_all_variants_at_once(address: str, metric: str, points: int) -> None:
    runs = runs_of(address, filter="tags.control = 'false'")
    asked = [("run_ids", run["info"]["run_id"]) for run in runs] + [("metric_key", metric), ("max_results", "320")]
    url = f"{address}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{urllib.parse.urlencode(asked)}"
    found = ask(url)["metrics"]
    assert {metric["run_id"] for metric in found} == {run["info"]["run_id"] for run in runs}
    assert len(found) == 5 * points


@needs_chromium
def test_the_page_of_an_experiment_lists_the_runs(address: str) -> None:
    experiment = runs_of(address)[0]["info"]["experiment_id"]
    with browse() as (page, _):  # MLflow's page asks for things of its own that are not there
        page.goto(f"{address}/#/experiments/{experiment}/runs")
        for name in ("rsrefseg · fake_scenes · tiny · 0", "whole_image · fake_scenes · tiny · 0"):
            page.get_by_text(name).first.wait_for(timeout=60_000)
        screenshot(page, "mlflow.png", full_page=False)
