"""The command that says what a model costs, as a person calls it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import inspect
from experiments.commands import inspect as command
from experiments.config import load_params
from experiments.cost.memory import Memory
from experiments.cost.timing import Work, measure
from experiments.settings import TrainConfig
from models.rsrefseg import RSRefSeg

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and nothing else: neither data nor weights."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_prints_all_costs_of_the_paper_s_model(paper_costs: dict[str, Any]) -> None:
    lines = [" ".join(line.split()) for line in paper_costs["printed"].splitlines()]
    assert "CLIP vision 412,987,248 0 0" in lines
    assert "SAM image encoder 89,670,912 0 0" in lines
    assert "all 958,589,586 5,642,700 0" in lines
    assert "SAM image encoder 972.08 0.00 0.00" in lines
    assert "all 1,638.53 59.26 0.00" in lines
    assert any(line.startswith("training step 3.834 0.0") for line in lines)
    assert "a multiply-add counted as 2" in " ".join(lines)
    assert "…" not in paper_costs["printed"]  # nothing is cut off at 80 columns


def test_the_file_holds_every_number_and_the_settings_they_are_of(paper_costs: dict[str, Any]) -> None:
    settings = [paper_costs[name] for name in ("model", "variant", "batch_images", "expressions_per_image")]
    assert settings == ["rsrefseg-b", "no_lora", 1, 1]
    assert paper_costs["compute"]["precision"] == "bfloat16"
    assert paper_costs["parameters"]["CLIP vision"] == {"total": 412_987_248, "trained": 0, "adapters": 0}
    assert paper_costs["flops"]["SAM image encoder"]["image"] == pytest.approx(972.08e9, rel=1e-5)
    assert paper_costs["memory"]["training step"]["weights"] == pytest.approx(3.834e9, rel=1e-3)
    assert set(paper_costs["memory"]) == {"forward", "training step"}
    assert paper_costs["measured"] is None


Options = Callable[..., dict[str, Any]]


@pytest.fixture
def numbers(project: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """What is written about `mini`, with what takes long left out: memory says what it was asked about instead."""

    def of_forward(model: RSRefSeg, images: int, expressions: int) -> Memory:
        return Memory(1, len(model.config.compute.gradient_checkpointing), images, expressions)

    def of_step(model: RSRefSeg, settings: TrainConfig, images: int, expressions: int) -> Memory:
        return Memory(settings.epochs, len(model.config.compute.gradient_checkpointing), images, expressions)

    monkeypatch.setattr(command, "count_flops", lambda _: {})
    monkeypatch.setattr(command, "memory_of_forward", of_forward)
    monkeypatch.setattr(command, "memory_of_step", of_step)

    def run(**options: Any) -> dict[str, Any]:
        inspect.main("mini", json_file=project / "costs.json", **options)
        found: dict[str, Any] = json.loads((project / "costs.json").read_text(encoding="utf-8"))
        return found

    return run


def test_memory_is_that_of_all_images_with_their_expressions(numbers: Options) -> None:
    found = numbers(batch_images=2, expressions=3)
    epochs = load_params().models["mini"]["train"]["epochs"]
    assert found["memory"]["forward"] == asdict(Memory(1, 0, 2, 6))
    assert found["memory"]["training step"] == asdict(Memory(epochs, 0, 2, 6))
    assert (found["batch_images"], found["expressions_per_image"]) == (2, 3)
    assert found["parameters"]["CLIP vision"] == {"total": 947_072, "trained": 65_536, "adapters": 65_536}


def test_the_checkpointing_option_means_all_encoders_or_none(numbers: Options) -> None:
    for option, encoders in ((True, ["clip_vision", "clip_text", "sam"]), (False, [])):
        found = numbers(gradient_checkpointing=option)
        assert found["compute"]["gradient_checkpointing"] == encoders
        assert found["compute"]["attention"] == "sdpa"
        assert [memory["gradients"] for memory in found["memory"].values()] == [len(encoders)] * 2


def test_measuring_runs_the_model_and_says_how_long_and_how_large(
    numbers: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = numbers(measured="forward", repeats=2)["measured"]
    assert measured["work"] == "forward"
    assert len(measured["seconds"]) == 2
    assert all(seconds > 0 for seconds in measured["seconds"])
    assert measured["peak_memory_mb"] > 10
    assert "Measured forward: " in " ".join(capsys.readouterr().out.split())


def test_a_system_that_runs_in_one_way_alone_refuses_another(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lavt = command.chosen(load_params(), None, "lavt-mini", None)
    assert lavt.variant == "full"
    assert command.with_compute(lavt.model, precision=None, attention=None, gradient_checkpointing=None) == lavt.model
    for options, said in (
        ({"precision": "bfloat16"}, "--precision"),
        ({"gradient_checkpointing": False}, "--gradient-c"),
    ):
        with pytest.raises(SystemExit, match="1"):
            inspect.main("lavt-mini", **options)  # type: ignore[arg-type]
        printed = " ".join(capsys.readouterr().err.split())
        assert said in printed
        assert "LavtConfig has no compute settings" in printed


def test_options_replace_the_configured_way_of_running(project: Path) -> None:
    config = command.chosen(load_params(), None, "rsrefseg-b", "rsrefseg").model
    assert config.compute.precision == "bfloat16"
    assert command.with_compute(config, precision=None, attention=None, gradient_checkpointing=None) == config
    changed = command.with_compute(config, precision="float32", attention="eager", gradient_checkpointing=())
    assert changed.compute.model_dump() == {
        "attention": "eager", "precision": "float32", "gradient_checkpointing": (), "compile": False,
    }  # fmt: skip
    assert changed.model_copy(update={"compute": config.compute}) == config


def test_a_dataset_counts_only_when_it_is_named(project: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    old, new = "overlay: {train: {epochs: 4}}", "overlay: {lora: null, train: {epochs: 4}}"
    assert old in text
    (project / "params.yaml").write_text(text.replace(old, new), encoding="utf-8")
    params = load_params()
    assert command.chosen(params, None, "mini", "rsrefseg").model.lora is not None
    assert command.chosen(params, "dubai", "mini", "rsrefseg").model.lora is None


def test_an_unknown_name_is_refused_with_the_nearest(
    subtests: pytest.Subtests, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, message in (
        ({"model": "rsrefsg-b"}, "unknown model 'rsrefsg-b'; did you mean 'rsrefseg-b'?"),
        ({"variant": "no_lroa"}, "unknown variant 'no_lroa'; did you mean 'no_lora'?"),
        ({"dataset": "dubia"}, "unknown dataset 'dubia'; did you mean 'dubai'?"),
    ):
        with subtests.test(msg=message):
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


@pytest.mark.parametrize(("work", "learns"), [("forward", False), ("step", True)])
def test_every_run_is_of_the_kind_and_size_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, work: Work, learns: bool
) -> None:
    config = command.chosen(load_params(ROOT / "params.yaml"), None, "mini", "rsrefseg")
    seen, original = [], RSRefSeg.forward

    def noted(model: RSRefSeg, images: list[Any], texts: list[str], image_index: list[int]) -> torch.Tensor:
        seen.append((model.training, torch.is_grad_enabled(), len(images), len(texts)))
        return original(model, images, texts, image_index)

    monkeypatch.setattr(RSRefSeg, "forward", noted)
    measure(config.model, config.train, work, 1, 2, repeats=1)
    assert seen == [(learns, learns, 1, 2)] * 2  # one run that is not counted
