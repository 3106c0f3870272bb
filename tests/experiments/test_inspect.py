"""The command that says what a model costs, as a person calls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import inspect
from experiments.config import load_params
from experiments.cost.estimate import memory_of_forward, memory_of_step, shapes_of
from experiments.cost.timing import Work, measure
from models.rsrefseg import RSRefSeg

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and nothing else: neither data nor weights."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(file: Path, model: str = "mini", **options: Any) -> dict[str, Any]:
    """What the command writes with --json."""
    inspect.main(model, json_file=file, **options)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_the_command_prints_all_costs_of_the_paper_s_model_in_a_bare_folder(project: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-m", "experiments.inspect", "--model", "rsrefseg-b", "--variant", "no_lora"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "CLIP vision 412,987,248 0 0" in lines
    assert "SAM image encoder 89,670,912 0 0" in lines
    assert "all 958,589,586 5,642,700 0" in lines
    assert "SAM image encoder 972.08 0.00 0.00" in lines
    assert "all 1,638.53 59.26 0.00" in lines
    assert any(line.startswith("training step 3.834 0.0") for line in lines)
    assert "a multiply-add counted as 2" in " ".join(lines)
    assert "…" not in done.stdout  # nothing is cut off at 80 columns
    assert {path.name for path in project.iterdir()} == {"params.yaml"}


def test_the_file_holds_every_number_and_the_settings_they_are_of(project: Path) -> None:
    found = numbers(project / "new" / "costs.json", batch_images=2, expressions=3)
    assert (found["model"], found["variant"], found["batch_images"], found["expressions_per_image"]) == (
        "mini", "rsrefseg", 2, 3,
    )  # fmt: skip
    assert found["compute"]["attention"] == "sdpa"
    assert found["parameters"]["CLIP vision"] == {"total": 916_352, "trained": 65_536, "adapters": 65_536}
    assert found["flops"]["SAM image encoder"]["image"] == 991_494_144
    assert set(found["memory"]) == {"forward", "training step"}
    assert found["measured"] is None


def test_memory_is_that_of_all_images_with_their_expressions(project: Path) -> None:
    found = numbers(project / "costs.json", batch_images=2, expressions=3)["memory"]
    config = inspect.chosen(load_params(), None, "mini", "rsrefseg")
    with shapes_of(config.model) as model:
        assert found["forward"] == asdict(memory_of_forward(model, 2, 6))
        assert found["training step"] == asdict(memory_of_step(model, config.train, 2, 6))


def test_options_replace_the_configured_way_of_running(project: Path) -> None:
    config = inspect.chosen(load_params(), None, "rsrefseg-b", "rsrefseg").model
    assert config.compute.precision == "bfloat16"
    assert inspect.with_compute(config, precision=None, attention=None, gradient_checkpointing=None) == config
    changed = inspect.with_compute(config, precision="float32", attention="eager", gradient_checkpointing=())
    assert changed.compute.model_dump() == {
        "attention": "eager", "precision": "float32", "gradient_checkpointing": (), "compile": False,
    }  # fmt: skip
    assert changed.model_copy(update={"compute": config.compute}) == config


def test_the_checkpointing_option_means_all_encoders_or_none(project: Path) -> None:
    told = {
        option: numbers(project / "costs.json", gradient_checkpointing=option)["compute"]["gradient_checkpointing"]
        for option in (True, False)
    }
    assert told == {True: ["clip_vision", "clip_text", "sam"], False: []}


def test_a_dataset_counts_only_when_it_is_named(project: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    old, new = "overlay: {train: {epochs: 4}}", "overlay: {lora: null, train: {epochs: 4}}"
    assert old in text
    (project / "params.yaml").write_text(text.replace(old, new), encoding="utf-8")
    params = load_params()
    assert inspect.chosen(params, None, "mini", "rsrefseg").model.lora is not None
    assert inspect.chosen(params, "dubai", "mini", "rsrefseg").model.lora is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "rsrefsg-b"}, "unknown model 'rsrefsg-b'; did you mean 'rsrefseg-b'?"),
        ({"variant": "no_lroa"}, "unknown variant 'no_lroa'; did you mean 'no_lora'?"),
        ({"dataset": "dubia"}, "unknown dataset 'dubia'; did you mean 'dubai'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    project: Path, capsys: pytest.CaptureFixture[str], options: dict[str, str], message: str
) -> None:
    with pytest.raises(SystemExit, match="1"):
        inspect.main(**{"model": "mini", **options})  # type: ignore[arg-type]
    assert message in " ".join(capsys.readouterr().err.split())


def test_outside_the_project_the_command_says_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        inspect.main("mini")
    assert "params.yaml: not found; run from the project's folder" in " ".join(capsys.readouterr().err.split())


def test_measuring_runs_the_model_and_says_how_long_and_how_large(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = numbers(project / "costs.json", measured="forward", repeats=2)["measured"]
    assert measured["work"] == "forward"
    assert len(measured["seconds"]) == 2
    assert all(seconds > 0 for seconds in measured["seconds"])
    assert measured["peak_memory_mb"] > 10
    assert "Measured forward: " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("work", "learns"), [("forward", False), ("step", True)])
def test_every_run_is_of_the_kind_and_size_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, work: Work, learns: bool
) -> None:
    config = inspect.chosen(load_params(ROOT / "params.yaml"), None, "mini", "rsrefseg")
    seen, original = [], RSRefSeg.forward

    def noted(model: RSRefSeg, images: list[Any], texts: list[str], image_index: list[int]) -> torch.Tensor:
        seen.append((model.training, torch.is_grad_enabled(), len(images), len(texts)))
        return original(model, images, texts, image_index)

    monkeypatch.setattr(RSRefSeg, "forward", noted)
    measure(config.model, config.train, work, 1, 2, repeats=1)
    assert seen == [(learns, learns, 1, 2)] * 2  # one run that is not counted
