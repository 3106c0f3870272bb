from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from benchmark.metrics.iou import METRIC_NAMES, metric_names
from benchmark.results.store import ResultError, find_results, load_result, save_result
from experiments.commands.collect import FILES, collect, main, to_record
from experiments.records import Record, flatten
from experiments.tracked import SHA256_TAG
from experiments.tracking import TrackingError, TrackingStore

RUN = Path("fake_scenes/tiny/rsrefseg/0")


class Place:
    """A folder with results and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.table = folder / "runs.csv"
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(self.uri)

    def collect(self) -> dict[str, int]:
        return collect(self.results, self.table, self.uri)

    def runs(self, filter_string: str = "") -> list:  # type: ignore[type-arg]
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, filter_string))

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.table.read_text())))


@pytest.fixture
def place(fake_results: Path, empty_database: Path, tmp_path: Path) -> Place:
    """One variant and one control, to be quick."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    for part in (RUN, RUN.parents[1] / "whole_image" / "0"):
        shutil.copytree(fake_results / "results" / part, tmp_path / "results" / part)
    examples = Path("results/fake_scenes/examples.parquet")
    shutil.copy(fake_results / examples, tmp_path / examples)
    return Place(tmp_path)


def test_collecting_twice_logs_every_result_once(place: Place) -> None:
    assert place.collect() == {"new": 2, "completed": 0, "replaced": 0, "unchanged": 0}
    first, ids = place.table.read_bytes(), {run.info.run_id for run in place.runs()}
    assert place.collect() == {"new": 0, "completed": 0, "replaced": 0, "unchanged": 2}
    assert place.table.read_bytes() == first
    assert {run.info.run_id for run in place.runs()} == ids
    assert len(ids) == 2


def test_what_mlflow_has_is_not_read_again_and_whatever_changed_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.collect()
    read = []
    monkeypatch.setattr(
        "experiments.commands.collect.load_result", lambda folder: read.append(folder) or load_result(folder)
    )
    assert place.collect()["unchanged"] == 2
    assert read == []
    masks = place.results / RUN / "predictions.parquet"
    masks.write_bytes(masks.read_bytes()[:-1])
    with pytest.raises(ResultError, match=r"predictions\.parquet cannot be read"):
        place.collect()
    assert read == [place.results / RUN]


def test_a_run_has_the_name_tags_params_metrics_and_artifacts_of_its_result(place: Place) -> None:
    place.collect()
    (run,) = place.runs("tags.variant = 'rsrefseg'")
    stored = load_result(place.results / RUN)
    assert run.info.run_name == "rsrefseg · fake_scenes · tiny · 0"
    assert run.info.status == "FINISHED"
    assert place.client.get_experiment(run.info.experiment_id).name == "fake_scenes"
    tags = {"dataset": "fake_scenes", "model": "tiny", "variant": "rsrefseg", "seed": "0", "git_commit": "fa4e" * 10}
    assert tags.items() <= run.data.tags.items()
    assert run.data.tags["fingerprint"] == stored.result.run.fingerprint
    assert run.data.params["train.lr"] == "0.001"
    assert run.data.params["lora"] == "null"
    for name in METRIC_NAMES:
        assert run.data.metrics[f"test/{name}"] == stored.metrics[name]
    assert stored.curve is not None
    ends = stored.curve.dropna(subset=["val_miou"])
    history = place.client.get_metric_history(run.info.run_id, "val/miou")
    assert [(point.step, point.value) for point in history] == list(zip(ends["epoch"], ends["val_miou"], strict=True))
    losses = place.client.get_metric_history(run.info.run_id, "train/loss")
    assert [point.value for point in losses] == stored.curve["loss"].tolist()
    artifacts = {item.path for item in place.client.list_artifacts(run.info.run_id)}
    assert artifacts == {"config.yaml", "result.json", "samples.csv", "predictions"}


def test_artifacts_lie_beside_the_database_and_show_every_example(place: Place) -> None:
    place.collect()
    (run,) = place.runs("tags.variant = 'rsrefseg'")
    assert run.info.artifact_uri.startswith((place.folder / "mlartifacts" / "fake_scenes").as_uri())
    folder = Path(place.client.download_artifacts(run.info.run_id, "predictions"))
    said = pd.read_csv(folder / "pictures.csv")
    examples = pd.read_parquet(place.results / "fake_scenes" / "examples.parquet")
    assert said["picture"].tolist() == [f"predictions/{number}.png" for number in range(1, len(examples) + 1)]
    assert {file.name for file in folder.iterdir()} == {"pictures.csv", *(Path(one).name for one in said["picture"])}
    lines = load_result(place.results / RUN).lines.set_index("sample_id").loc[examples["sample_id"]]
    there = zip(examples["expression"], lines["intersection"] / lines["union"], strict=True)
    shown = zip(said["expression"], said["iou"], strict=True)
    assert sorted(shown) == [(text, pytest.approx(iou, abs=1e-4)) for text, iou in sorted(there)]
    for picture in said["picture"]:
        assert np.asarray(Image.open(folder / Path(picture).name)).std() > 0


def test_no_credential_and_no_markup_reaches_mlflow(place: Place) -> None:
    folder = place.results / RUN
    stored = load_result(folder)
    config = {"root": "https://me:geheim@host/x", "list": ["http://h/?token=geheim"]}
    run = stored.result.run.model_copy(update={"outside": "<b>[a](b) **c**", "config": config})
    meta = stored.result.meta.model_copy(update={"device": "cpu \x1b[31m", "git_commit": "`x`"})
    result = stored.result.model_copy(update={"run": run, "meta": meta})
    lines = stored.lines.assign(category="=1+1")
    save_result(folder, result, lines, stored.curve, stored.predictions, stored.sweep)
    assert "geheim" not in (folder / "result.json").read_text()
    (folder / "result.json").write_text((folder / "result.json").read_text().replace("***@", "me:geheim@"))
    record = to_record(load_result(folder), place.results / "fake_scenes" / "examples.parquet")
    assert record.params["root"] == "https://***@host/x"
    for told in (record.name, record.about, *record.tags.values(), *record.params.values()):
        assert "geheim" not in told
        assert "\x1b" not in told
    assert not any(b"geheim" in content for content in record.artifacts.values())
    described = record.tags["mlflow.note.content"]
    assert r"**\<b>[a\](b) \*\*c\*\***" in described
    assert r"commit \`x\`" in described
    assert b"'=1+1" in record.artifacts["samples.csv"]
    assert b",=1+1" not in record.artifacts["samples.csv"]
    assert place.collect() == {"new": 2, "completed": 0, "replaced": 0, "unchanged": 0}


def test_a_password_is_in_no_error_of_the_store(subtests: pytest.Subtests) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        closed = closing.getsockname()[1]
    for uri, said in (
        ("postgresql+nodriver://me:geheim@127.0.0.1/db", "unset it to use sqlite:///mlflow.db"),
        (f"http://me:geheim@127.0.0.1:{closed}", "Start the server"),
        ("htp://me:geheim@host", "unset it to use sqlite:///mlflow.db"),
    ):
        with subtests.test(msg=uri), pytest.raises(TrackingError, match=said) as raised:
            TrackingStore(uri)
        assert "geheim" not in str(raised.value)
        assert raised.value.__cause__ is None


def test_a_database_without_its_driver_is_an_error_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(TrackingError, match=r"psycopg.*Install the driver, correct MLFLOW_TRACKING_URI") as raised:
        TrackingStore("postgresql://me:geheim@127.0.0.1/db")
    assert "geheim" not in str(raised.value)


def test_a_collapsed_run_is_tagged_described_and_in_the_table(
    place: Place, fake_result: Callable[..., None], fake_results: Path
) -> None:
    place.collect()
    assert [row["collapsed"] for row in place.rows()] == ["no", "no"]  # a full mask is whole_image's design
    assert "test/collapse_share" not in place.rows()[0]
    data = fake_results / "data" / "fake_scenes"
    fake_result(place.results, data, "fake_scenes", "tiny", "rsrefseg", 0, -1.0, False, 60)
    assert place.collect()["replaced"] == 1
    (run,) = place.runs("tags.collapsed = 'empty'")
    assert run.data.metrics["test/collapse_share"] == 1
    assert "**Collapsed**: empty masks (100.0%)" in run.data.tags["mlflow.note.content"]
    assert [(row["collapsed"], row["test/collapse_share"]) for row in place.rows()] == [("empty", "1.0"), ("no", "")]


def test_a_changed_result_replaces_its_run(place: Place) -> None:
    place.collect()
    stored = load_result(place.results / RUN)
    train = stored.result.train.model_copy(update={"seconds": 99.0})
    result = stored.result.model_copy(update={"train": train})
    save_result(stored.folder, result, stored.lines, stored.curve, stored.predictions)
    assert place.collect() == {"new": 0, "completed": 0, "replaced": 1, "unchanged": 1}
    (run,) = place.runs("tags.variant = 'rsrefseg'")
    assert run.data.metrics["train/seconds"] == 99.0
    assert [row["train/seconds"] for row in place.rows()] == ["99.0", "0.0"]


def test_an_interrupted_or_doubled_run_is_made_good(place: Place) -> None:
    place.collect()
    runs = place.runs()
    place.client.delete_tag(runs[0].info.run_id, SHA256_TAG)  # as if it had been killed before the last step
    tags = {name: value for name, value in runs[1].data.tags.items() if not name.startswith("mlflow.")}
    double = place.client.create_run(runs[1].info.experiment_id, tags=tags)
    assert place.collect() == {"new": 0, "completed": 1, "replaced": 0, "unchanged": 1}
    assert len(place.runs()) == 2
    assert double.info.run_id not in {run.info.run_id for run in place.runs()}


@pytest.fixture
def training(place: Place) -> Record:
    """What is told of the run while it trains: all that its result knows too, but for its outcome."""
    record = to_record(load_result(place.results / RUN), place.results / "fake_scenes" / "examples.parquet")
    return replace(record, metrics={}, artifacts={}, sha256="")


def test_a_training_that_was_told_live_is_completed_whatever_part_of_it_arrived(
    place: Place, training: Record, subtests: pytest.Subtests
) -> None:
    def nothing(store: TrackingStore) -> None:
        store.start(training)

    def half_and_killed(store: TrackingStore) -> None:
        run = store.start(training)
        store.log(run, {name: curve[: len(curve) // 2] for name, curve in training.curves.items()}, 1)
        store.end(run, "KILLED")

    def all_of_it_in_two_parts(store: TrackingStore) -> None:
        half_and_killed(store)
        assert [run.info.status for run in place.runs()] == ["KILLED"]
        run = store.start(training)
        assert [run.info.status for run in place.runs()] == ["RUNNING"]
        store.log(run, training.curves, 2)  # steps that were learnt again
        store.end(run, "FINISHED")

    whole = (place.folder / "mlflow.db").read_bytes()
    for told in (nothing, half_and_killed, all_of_it_in_two_parts):
        with subtests.test(msg=told.__name__):
            (place.folder / "mlflow.db").write_bytes(whole)
            told(TrackingStore(place.uri))
            (before,) = place.runs()
            assert place.collect() == {"new": 1, "completed": 1, "replaced": 0, "unchanged": 0}
            (run,) = place.runs("tags.variant = 'rsrefseg'")
            assert run.info.run_id == before.info.run_id
            assert run.info.status == "FINISHED"
            for name, curve in training.curves.items():
                history = place.client.get_metric_history(run.info.run_id, name)
                assert sorted((point.step, point.value) for point in history) == sorted(curve)
            assert place.collect()["unchanged"] == 2


def test_a_training_that_told_something_else_than_its_result_is_replaced(
    place: Place, training: Record, subtests: pytest.Subtests
) -> None:
    def other(store: TrackingStore) -> None:
        store.log(store.start(training), {"train/loss": [(1, 99.0)]}, 1)

    def twice(store: TrackingStore) -> None:
        for at in (1, 1, 2):  # a point of the same moment is the same point
            run = store.start(training)
            run.points.clear()
            store.log(run, {"train/loss": training.curves["train/loss"][:1]}, at)

    def of_another_setting(store: TrackingStore) -> None:
        store.start(replace(training, params={**training.params, "train.lr": "7"}))

    whole = (place.folder / "mlflow.db").read_bytes()
    for told in (other, twice, of_another_setting):
        with subtests.test(msg=told.__name__):
            (place.folder / "mlflow.db").write_bytes(whole)
            told(TrackingStore(place.uri))
            assert place.collect() == {"new": 1, "completed": 0, "replaced": 1, "unchanged": 0}


def test_a_training_of_other_settings_that_runs_is_left_alone(place: Place, training: Record) -> None:
    other = replace(training, tags={**training.tags, "fingerprint": "f" * 64})
    place.collect()
    store = TrackingStore(place.uri)
    run = store.start(other)
    assert place.collect()["unchanged"] == 2
    store.log(run, training.curves, 2)
    assert [found.info.run_id for found in place.runs("attributes.status = 'RUNNING'")] == [run.run_id]
    again = store.start(training)  # of what is collected already: a run of its own
    assert place.collect()["unchanged"] == 2
    assert {found.info.run_id for found in place.runs("attributes.status = 'RUNNING'")} == {run.run_id, again.run_id}


def test_runs_of_others_and_of_results_that_are_gone_are_left_alone(place: Place) -> None:
    place.collect()
    experiment = place.client.get_experiment_by_name("fake_scenes")
    place.client.create_run(experiment.experiment_id, run_name="somebody's own")
    shutil.rmtree(place.results / RUN)
    assert place.collect() == {"new": 0, "completed": 0, "replaced": 0, "unchanged": 1}
    assert len(place.runs()) == 3
    assert [row["variant"] for row in place.rows()] == ["whole_image"]


def test_a_value_changed_in_mlflow_is_an_error_naming_run_and_metric(place: Place) -> None:
    place.collect()
    (run,) = place.runs("tags.variant = 'rsrefseg'")
    place.client.log_metric(run.info.run_id, "test/oiou", 0.99, step=1)
    with pytest.raises(TrackingError, match=r"'rsrefseg · fake_scenes · tiny · 0': MLflow has test/oiou = 0\.99"):
        place.collect()


def test_a_deleted_experiment_is_restored(place: Place) -> None:
    place.collect()
    place.client.delete_experiment(place.client.get_experiment_by_name("fake_scenes").experiment_id)
    place.collect()
    assert place.client.get_experiment_by_name("fake_scenes").lifecycle_stage == "active"
    assert len(place.runs()) == 2


def test_a_database_that_was_moved_is_refused_before_anything_is_written_elsewhere(
    place: Place, tmp_path: Path
) -> None:
    place.collect()
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(tmp_path / "mlflow.db", moved)
    with pytest.raises(TrackingError, match=r"outside .*moved.*Delete it and collect again"):
        collect(place.results, place.table, f"sqlite:///{moved}/mlflow.db")


def test_the_table_is_sorted_and_holds_no_ids_or_times(place: Place) -> None:
    place.collect()
    rows = place.rows()
    assert [row["variant"] for row in rows] == ["rsrefseg", "whole_image"]
    text = place.table.read_text()
    for run in place.runs():
        assert run.info.run_id not in text
        assert str(run.info.start_time) not in text
    for row, stored in zip(rows, find_results(place.results), strict=True):
        assert {name: float(row[f"test/{name}"]) for name in metric_names(stored.lines)} == stored.metrics
        assert row["parameters/total"] == "2345678"


def test_every_file_of_a_result_counts_as_its_content(place: Place) -> None:
    examples = place.results / "fake_scenes" / "examples.parquet"
    hashes = {to_record(load_result(place.results / RUN), examples).sha256}
    assert set(FILES) | {"metrics.json"} == {path.name for path in (place.results / RUN).iterdir()}
    for name in FILES:
        other = place.folder / "other"
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(place.results / RUN, other)
        stored = load_result(other)
        with (other / name).open("ab") as file:
            file.write(b"\n")
        hashes.add(to_record(stored, examples).sha256)
    assert len(hashes) == 1 + len(FILES)


def test_long_curves_are_logged_in_chunks(place: Place) -> None:
    stored = load_result(place.results / RUN)
    assert stored.curve is not None
    curve = stored.curve.iloc[:1].loc[lambda rows: rows.index.repeat(2500)].reset_index(drop=True)
    curve["step"], curve["loss"] = range(1, 2501), 0.5
    save_result(stored.folder, stored.result, stored.lines, curve, stored.predictions)
    place.collect()
    (run,) = place.runs("tags.variant = 'rsrefseg'")
    assert len(place.client.get_metric_history(run.info.run_id, "train/loss")) == 2500


def test_configuration_is_flattened_without_confusing_null_false_and_text() -> None:
    config = {"a": {"b": {"c": 1e-4}, "empty": {}}, "off": None, "no": False, "list": [1, 2], "text": "null?"}
    flat = {"a.b.c": "0.0001", "a.empty": "{}", "off": "null", "no": "false", "list": "[1, 2]", "text": "null?"}
    assert flatten(config) == flat


def test_no_results_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no result\.json under .*dvc repro"):
        collect(tmp_path, tmp_path / "runs.csv", "sqlite:///never_made.db")
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_a_clear_error_within_seconds(place: Place) -> None:
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9 failed: .*MLFLOW_TRACKING_URI"):
        collect(place.results, place.table, "http://127.0.0.1:9")
    assert time.monotonic() - started < 15
    assert not place.table.exists()


def test_the_command_obeys_the_tracking_uri_and_reports_errors_in_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.uri)
    monkeypatch.chdir(place.folder)
    main(Path("results"), Path("reports/generated/runs.csv"))
    assert (
        "2 new, 0 completed, 0 replaced, 0 unchanged; read back into reports/generated/runs.csv"
        in capsys.readouterr().out
    )
    assert (place.folder / "reports/generated/runs.csv").is_file()
    assert len(place.runs()) == 2
    result = place.results / RUN / "result.json"
    whole = result.read_text()
    result.write_text(json.dumps({**json.loads(whole), "mood": "good"}))
    with pytest.raises(SystemExit, match="1"):
        main(Path("results"), Path("reports/generated/runs.csv"))
    said = capsys.readouterr().err
    assert "field mood" in said
    assert len(said.splitlines()) == 1
    result.write_text(whole)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuch://place")
    with pytest.raises(SystemExit, match="1"):  # of the store, as of the files
        main(Path("results"), Path("reports/generated/runs.csv"))
    assert "nosuch://place" in capsys.readouterr().err


def test_a_result_of_other_data_is_named_and_nothing_is_logged(place: Place, tmp_path: Path) -> None:
    examples = place.results / "fake_scenes" / "examples.parquet"
    rows = pd.read_parquet(examples)
    rows.assign(sample_id=[f"new_{number}" for number in range(len(rows))]).to_parquet(examples, index=False)
    with pytest.raises(ResultError, match=r"rsrefseg/0: made on other data.*'new_0' was not predicted.*delete the"):
        collect(place.results, place.table, f"sqlite:///{tmp_path / 'other.db'}")
    assert not (tmp_path / "other.db").exists()
    assert not place.table.exists()
