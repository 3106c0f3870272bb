"""The whole DVC pipeline, by its real commands, on a tiny configuration in a temporary clone of the working tree."""

from __future__ import annotations

import json
import re
import sys
from functools import reduce
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dvc.repo import Repo

from tests.clones import in_clone, make_clone
from tests.layouts import LAYOUTS

ROOT = Path(__file__).parent.parent
VARIANTS, CONTROLS = ["rsrefseg", "no_lora"], ["heat_map_point"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With few scenes and one epoch, fully run."""
    folder = make_clone(
        tmp_path_factory.mktemp("clone") / "project",
        run={"variants": VARIANTS, "controls": CONTROLS},
        train={"epochs": 1},
    )
    output = in_clone(folder, "dvc", "repro")
    assert "foundation@mini' didn't change" in output, "the committed foundation weights were not accepted as they are"
    return folder


def result_folders(clone: Path) -> dict[str, Path]:
    return {name: clone / "results" / "synthetic" / "mini" / name / "0" for name in (*VARIANTS, *CONTROLS)}


def test_every_run_and_control_has_a_result_on_all_test_samples(clone: Path) -> None:
    counts = json.loads((clone / "data" / "synthetic" / "manifest.json").read_text())["counts"]
    for name, folder in result_folders(clone).items():
        result = json.loads((folder / "result.json").read_text())
        assert result["run"]["variant"] == name
        lines, masks = (pd.read_parquet(folder / f"{table}.parquet") for table in ("samples", "predictions"))
        assert result["eval"]["test"]["samples"] == counts["test"]["samples"] == len(lines) == len(masks)
        assert result["meta"]["git_commit"] == in_clone(clone, "git", "rev-parse", "HEAD").strip()


def test_a_second_repro_does_nothing_and_says_so(clone: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (clone / "results").rglob("*") if path.is_file()}
    assert "up to date" in in_clone(clone, "dvc", "repro")
    assert before == {path: path.stat().st_mtime_ns for path in (clone / "results").rglob("*") if path.is_file()}


EACH_RUN = {"train@rsrefseg", "train@no_lora", "evaluate@rsrefseg", "evaluate@no_lora"}
TOUCHED = {  # a file -> the stages that must run again, and no others
    "models/weights/sam_official.py": set(),  # reads published weights
    "experiments/download/hub.py": set(),
    "experiments/cost/estimate.py": set(),
    "experiments/predict.py": set(),
    "experiments/evaluate.py": set(),  # its options; a stage says them all
    "experiments/training/accelerate/one_gpu.yaml": set(),
    "experiments/live/stream.py": set(),  # changes no number
    "benchmark/audit/audit.py": set(),
    "reports/audit/page.html": set(),
    "benchmark/scenes/everyday/indoors.py": {"foundation"},
    "experiments/pretraining/clip.py": {"foundation"},
    "benchmark/scenes/aerial/site.py": {"fetch"},
    "benchmark/expressions/writer.py": {"fetch"},
    "models/mini.py": {"foundation", *EACH_RUN, "control", "cases"},
    "models/prompter.py": {*EACH_RUN, "control", "cases"},
    "models/rmsin/arc.py": {*EACH_RUN, "control", "cases"},
    "models/weights/swin_bert.py": {*EACH_RUN, "control", "cases"},
    "models/baselines.py": {"control"},
    "benchmark/augmentation/directions.py": {"train@rsrefseg", "train@no_lora"},
    "experiments/training/schedule.py": {"train@rsrefseg", "train@no_lora"},
    "experiments/repeatable.py": {*EACH_RUN, "control"},
    "experiments/frozen/recall.py": {*EACH_RUN, "control"},
    "experiments/commands/evaluate.py": {"evaluate@rsrefseg", "evaluate@no_lora", "control"},
    "benchmark/data/images/rules.py": {"fetch", *EACH_RUN, "control"},
    "benchmark/metrics/measure.py": {*EACH_RUN, "control", "report"},
    "benchmark/metrics/collapse.py": {*EACH_RUN, "control", "collect", "report"},
    "benchmark/metrics/statistics.py": {"report"},
    "reports/systems.csv": {"report"},
    "benchmark/results/pictures.py": {"collect", "report"},
    "reports/figures/style.py": {"report"},
    "reports/figures/speed.py": set(),  # of docs/speed.md
}
CHANGED = {  # a parameter -> the same
    "evaluate.batch_images": set(),
    "loader.workers": set(),
    "features.gigabytes": set(),
    "cluster.gpus": set(),
    "foundation.mini.pretrain.clip.steps": {"foundation"},
    "foundation.lavt-mini.pretrain.bert.steps": set(),
    "models.mini.clip.pixel_mean": {"train@rsrefseg", "train@no_lora", "control", "report"},
    "models.mini.train.epochs": {"train@rsrefseg", "train@no_lora", "control", "report"},
    "train.weight_decay": {"train@rsrefseg", "train@no_lora"},
    "variants.no_lora.prompter": {"train@no_lora", "report"},
    "evaluate.sides": {"evaluate@rsrefseg", "evaluate@no_lora", "control"},
    "datasets.synthetic.per_image": {"fetch", "train@rsrefseg", "train@no_lora", "report"},
}


def stale(clone: Path) -> set[str]:
    """The stages that `dvc status` would run again, each by its name and, where that is not enough, its variant."""
    parts = [name.replace("-0", "").split("@") for name in Repo(str(clone)).status()]
    return {f"{name[0]}@{name[1].split('-')[-1]}" if name[0] in ("train", "evaluate") else name[0] for name in parts}


def test_touching_a_file_runs_what_uses_it_and_nothing_else(
    clone: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(clone)
    assert stale(clone) == set()
    for name, expected in TOUCHED.items():
        text = (clone / name).read_text(encoding="utf-8")
        (clone / name).write_text(text + "\n", encoding="utf-8")
        with subtests.test(msg=name):
            assert stale(clone) == expected
        (clone / name).write_text(text, encoding="utf-8")


def test_changing_a_parameter_runs_what_reads_it_and_nothing_else(
    clone: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(clone)
    before = (clone / "params.yaml").read_text(encoding="utf-8")
    for name, expected in CHANGED.items():
        params = yaml.safe_load(before)
        *path, key = name.split(".")
        reduce(lambda mapping, part: mapping[part], path, params)[key] = [1]
        (clone / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        with subtests.test(msg=name):
            assert stale(clone) == expected
    (clone / "params.yaml").write_text(before, encoding="utf-8")


def test_runs_csv_was_read_back_out_of_mlflow_and_says_what_the_files_say(clone: Path) -> None:
    runs = pd.read_csv(clone / "reports" / "generated" / "runs.csv").set_index("variant")
    for name, folder in result_folders(clone).items():
        metrics = json.loads((folder / "metrics.json").read_text())
        assert runs.loc[name, "test/miou"] == pytest.approx(metrics["miou"], abs=1e-6)


def test_the_report_is_there_and_the_readme_holds_its_tables(clone: Path) -> None:
    generated = clone / "reports" / "generated"
    tables = generated / "tables" / "synthetic" / "mini"
    for table, document in (("headline", "README.md"), ("main", "docs/results.md")):
        block = (tables / f"{table}.md").read_text(encoding="utf-8")
        assert block in (clone / document).read_text(encoding="utf-8")
        assert all(name in block for name in (*VARIANTS, *CONTROLS))
    assert "held against what MLflow gave back" in (generated / "index.html").read_text(encoding="utf-8")
    figures = {path.suffix for path in (generated / "figures").rglob("*.*")}
    assert figures == {".png", ".pdf", ".jpg"}


def test_dvc_shows_the_metrics_and_the_curves(clone: Path) -> None:
    metrics = json.loads(in_clone(clone, "dvc", "metrics", "show", "--json").splitlines()[-1])[""]["data"]
    shown = metrics["results/synthetic/mini/rsrefseg/0/metrics.json"]["data"]
    assert set(shown) == {"miou", "oiou", "boundary_iou", *(f"precision_0.{tenth}" for tenth in range(5, 10))}
    assert "weights/mini/foundation.json" in metrics
    in_clone(clone, "dvc", "plots", "show", "--out", "plots")
    assert "curve.csv" in (clone / "plots" / "index.html").read_text(encoding="utf-8")


def test_the_python_examples_of_the_documents_run(clone: Path, subtests: pytest.Subtests) -> None:
    """The README's examples, how a run predicts, and the recipe for a metric of one's own."""
    for document in ("README.md", "docs/commands.md", "docs/architecture.md"):
        for code in re.findall(r"```python\n(.*?)```", (clone / document).read_text(encoding="utf-8"), re.DOTALL):
            with subtests.test(msg=f"{document}: {code[-60:]}"):
                assert in_clone(clone, sys.executable, "-c", code).strip()


def test_another_variant_alone_is_launched_when_it_is_added_and_the_report_after_it(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    params["run"]["variants"] = [*VARIANTS, "global_only"]
    params["cluster"] |= {"gpus": 0, "cpus": 1}
    (clone / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    launched = in_clone(clone, sys.executable, "-m", "experiments.launch", "--executor", "local")
    assert "1 points and the report" in launched
    first, last = sorted((clone / "work" / "jobs").glob("*.out"), key=lambda file: file.stat().st_ctime_ns)
    assert "train@synthetic-mini-global_only-0 evaluate@synthetic-mini-global_only-0" in first.read_text(
        encoding="utf-8"
    )
    assert "cases@synthetic-mini collect report" in last.read_text(encoding="utf-8")
    assert stale(clone) == set()
    assert "global_only" in (clone / "reports/generated/tables/synthetic/mini/main.md").read_text(encoding="utf-8")


def test_a_published_dataset_runs_by_one_setting_on_a_fake_of_its_files(clone: Path) -> None:
    in_clone(clone, "git", "checkout", "--quiet", "params.yaml")
    LAYOUTS["refsegrs"](clone / "raw" / "refsegrs", 2, 96)
    settings = (
        "run.datasets=[refsegrs]",
        "datasets.refsegrs.allow_count_mismatch=true",
        "run.variants=[rsrefseg]",
        "run.controls=[]",
    )
    in_clone(
        clone,
        "dvc",
        "exp",
        "run",
        "evaluate@refsegrs-mini-rsrefseg-0",
        *(part for setting in settings for part in ("-S", setting)),
    )
    result = json.loads((clone / "results/refsegrs/mini/rsrefseg/0/result.json").read_text())
    manifest = json.loads((clone / "data/refsegrs/manifest.json").read_text())
    assert manifest["images_in"] == "root"
    assert result["data"]["counts"] == manifest["counts"]
    assert result["eval"]["test"]["samples"] == manifest["counts"]["test"]["samples"]
    assert len(pd.read_parquet(clone / "results/refsegrs/truth.parquet")) == manifest["counts"]["test"]["samples"]
