"""CLIPSeg and SAM 3 from published folders to results, by the commands that the pipeline calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from benchmark.data.files import sha256
from benchmark.data.samples import load_dataset
from benchmark.metrics.strata import save_strata
from benchmark.results.truth import save_examples, save_truth
from experiments import cases, evaluate, foundation
from experiments.commands.check import params_faults
from experiments.config import load_params
from experiments.settings import ConfigError
from models.tokens import TruncationWarning
from models.weights.files import network_files
from reports import build
from tests.checkpoints import as_video, write_clipseg_checkpoint, write_sam3_checkpoint
from tests.conftest import make_fake_dataset

REAL: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
CONTROLS = {"clipseg": ("zero_shot",), "sam3": ("zero_shot", "zero_shot_semantic")}


def write_params(folder: Path, **run: Any) -> Path:
    data = {
        **REAL,
        "run": {**REAL["run"], "models": ["clipseg"], "variants": [], "controls": ["zero_shot"], **run},
        "models": {**REAL["models"], "clipseg": {"system": "clipseg", "side": 32}},
        "foundation": {name: {"source": {name: {"folder": f"raw/{name}"}}} for name in CONTROLS},
    }
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks downloaded and measured, SAM 3 out of a model of video."""
    folder = tmp_path_factory.mktemp("project")
    make_fake_dataset(folder / "data/synthetic", images=2)
    data, results = load_dataset(folder / "data/synthetic"), folder / "results/synthetic"
    save_examples(results / "examples.parquet", data, 2)
    save_truth(results / "truth.parquet", data)
    save_strata(results / "strata.parquet", data.split("test"))
    for name in ("clipseg", "image", "sam3"):
        (folder / "raw" / name).mkdir(parents=True)
    write_clipseg_checkpoint(folder / "raw/clipseg", length=8)  # two words less than expressions have
    write_sam3_checkpoint(folder / "raw/image", length=8)
    as_video(folder / "raw/image", folder / "raw/sam3")
    write_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, controls in CONTROLS.items():
            foundation.main(model)
            for control in controls:
                with pytest.warns(TruncationWarning, match=r"\d expressions hold more than 8 tokens and were cut"):
                    evaluate.main(dataset="synthetic", model=model, variant=control, seed=0)
    return folder


def result(project: Path, model: str, control: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / f"results/synthetic/{model}/{control}/0/result.json").read_text())
    return found


@pytest.fixture(autouse=True)
def _there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def test_each_reading_is_a_result_of_a_baseline_by_itself(project: Path, subtests: pytest.Subtests) -> None:
    results = {(model, control): result(project, model, control) for model in CONTROLS for control in CONTROLS[model]}
    for (model, control), said in results.items():
        with subtests.test(f"{model} {control}"):
            run, report = said["run"], json.loads((project / f"weights/{model}/foundation.json").read_text())
            assert (run["model"], run["variant"], run["seed"], run["control"]) == (model, control, 0, True)
            assert run["config"]["model"].get("side") == (32 if model == "clipseg" else None)
            assert said["train"]["parameters_trained"] == 0
            assert said["train"]["parameters_total"] == report["parameters"][model]
            assert said["eval"]["test"]["samples"] == 6
    assert len({said["run"]["fingerprint"] for said in results.values()}) == 3
    best, semantic = (
        pd.read_parquet(project / f"results/synthetic/sam3/{control}/0/predictions.parquet")["prediction"]
        for control in CONTROLS["sam3"]
    )
    assert not best.equals(semantic)


def test_a_foundation_is_the_published_folder_without_what_is_not_read(project: Path) -> None:
    for model in CONTROLS:
        folder = project / "weights" / model
        report = json.loads((folder / "foundation.json").read_text())
        files = network_files(model)(folder)
        assert {file.name for file in folder.iterdir()} == {*(file.name for file in files.values()), "foundation.json"}
        assert report["sha256"] == {name: sha256(file) for name, file in files.items()}
        assert (folder / "config.json").read_bytes() == (project / "raw" / model / "config.json").read_bytes()
    kept = load_file(project / "weights/sam3/model.safetensors").keys()
    assert kept == load_file(project / "raw/image/model.safetensors").keys(), (
        "without the tracker, by the image's names"
    )


def test_what_cannot_be_run_is_said_with_what_can(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    rows: list[tuple[dict[str, Any], str]] = [
        (
            {"variants": ["rsrefseg", "no_lora"]},
            "params.yaml: clipseg is never trained and has no variants: set run.variants to [], and run.controls to "
            "some of zero_shot",
        ),
        (
            {"controls": ["whole_image"]},
            "params.yaml: run.controls: clipseg has no training-free baseline whole_image; it has zero_shot",
        ),
        (
            {"controls": ["zero_shot", "zero_shot_semantic"]},
            "params.yaml: run.controls: clipseg has no training-free baseline zero_shot_semantic; it has zero_shot",
        ),
    ]
    for run, fault in rows:
        with subtests.test(msg=fault):
            assert list(params_faults(load_params(write_params(tmp_path, **run)))) == [fault]
    assert list(params_faults(load_params(Path("params.yaml")))) == []
    with pytest.raises(ConfigError, match=r"variants and controls are both \[\]: there is nothing to run"):
        load_params(write_params(tmp_path, controls=[]))
    for variant, fault in (("whole_image", "has no training-free baseline"), ("rsrefseg", "is never trained and has")):
        with pytest.raises(SystemExit, match="1"):
            evaluate.main(dataset="synthetic", model="clipseg", variant=variant, seed=0)
        assert f"clipseg {fault}" in " ".join(capsys.readouterr().err.split())


def test_without_variants_there_are_no_cases_and_a_report_of_baselines(project: Path) -> None:
    cases.main(dataset="synthetic", model="clipseg")
    assert len(pd.read_parquet("results/synthetic/cases/clipseg.parquet")) == 0
    document = Path("results.md")
    document.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    build.main(generated=Path("out"), document=document)
    made = "-S 'run.models=[sam3]' -S 'run.variants=[]' -S 'run.controls=[zero_shot,zero_shot_semantic]'`"
    assert made in document.read_text(encoding="utf-8")
    for model, controls in CONTROLS.items():
        table = Path(f"out/tables/synthetic/{model}/main.md").read_text(encoding="utf-8")
        assert all(control in table for control in controls)
