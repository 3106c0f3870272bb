from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmark.data.files import sha256
from benchmark.results.schema import Training
from benchmark.results.store import CURVE_COLUMNS, load_curve
from experiments import runs
from experiments.config import fingerprint
from experiments.foundations import foundation_hash, foundation_hashes
from experiments.runs import (
    TrainedRun,
    how_to_train,
    load_model,
    restore,
    run_folder,
    save_run,
)
from experiments.settings import ExperimentConfig, LossConfig, TrainConfig
from models.checkpoint import CheckpointError, load_tensors, save_tensors
from models.rsrefseg import RSRefSeg
from models.weights.files import foundation_files
from tests.tiny import VARIANTS, random_image, tiny_config, tiny_model, write_foundation

DATA = "d" * 64
IMAGES, TEXTS, IMAGE_INDEX = [random_image(40, 30, 0), random_image(64, 64, 1)], ["the red ship", "road"], [1, 0]
# Those that keep other modules or adapters on disk; the others only have other shapes.
KINDS = ("rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt", "text_frozen", "text_upper_half")


@pytest.fixture(scope="module")
def stored_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foundation(tmp_path_factory.mktemp("foundation") / "tiny")


@pytest.fixture
def weights(stored_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Foundation weights that may be spoilt, seen from the folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(stored_weights, Path("weights") / "tiny"))


def experiment(variant: str = "rsrefseg", **train: Any) -> ExperimentConfig:
    settings: dict[str, Any] = {
        "epochs": 2,
        "step_of": "images",
        "batch_size": 2,
        "expressions_per_image": None,
        "lr": 1e-3,
        "warmup_epochs": 0.5,
        "warmup_start": 0.01,
        "cosine": "per_epoch",
        "final_lr_ratio": 0.01,
        "weight_decay": 0.05,
        "clip_norm": None,
        "loss": LossConfig(bce=5, dice=1),
        "label_side": None,
        "select": "best",
        "threads": 1,
        "augment": [],
        **train,
    }
    return ExperimentConfig(
        dataset="fake",
        model_name="tiny",
        variant=variant,
        seed=0,
        model=tiny_config(VARIANTS[variant]),
        train=TrainConfig(**settings),
    )


def trained_run(model: RSRefSeg, config: ExperimentConfig) -> TrainedRun:
    rows = [(1, 1, 0.9, 1e-3, None, None), (1, 2, 0.8, 9e-4, 0.25, "empty"), (2, 4, 0.5, 1e-5, 0.3, "no")]
    training = Training(
        epochs=2,
        steps=4,
        seconds=1.5,
        selection_metric="miou",
        selection_split="val",
        best_epoch=2,
        best_value=0.3,
        parameters_total=10,
        parameters_trained=5,
        peak_memory_mb=1,
    )
    return TrainedRun(config, model.trained_state(), pd.DataFrame(rows, columns=list(CURVE_COLUMNS)), training)


def save(weights: Path, variant: str = "rsrefseg", seed: int = 0) -> tuple[RSRefSeg, Path]:
    model = tiny_model(weights, variant, seed=seed)
    return model, save_run(trained_run(model, experiment(variant)), foundation_hashes(foundation_files(weights)), DATA)


def stored(weights: Path, variant: str = "rsrefseg") -> RSRefSeg:
    """What was saved, with its adapters."""
    config = experiment(variant)
    return restore(run_folder(config), config, weights, how_to_train(config))[0]


def test_a_run_lies_where_its_point_of_the_study_says(weights: Path) -> None:
    _, folder = save(weights, "no_lora")
    assert folder == run_folder(experiment("no_lora")) == Path("runs/fake/tiny/no_lora/0")
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "config.json", "train.json", "curve.csv"}
    assert [entry.name for entry in folder.parent.iterdir()] == ["0"]


@pytest.mark.parametrize("variant", KINDS)
def test_a_saved_run_comes_back_to_the_bit_and_predicts_without_adapters_the_same(variant: str, weights: Path) -> None:
    model, folder = save(weights, variant)
    found = load_tensors(folder / "model.safetensors", "")
    assert found.keys() == model.trained_state().keys(), "only what trained is stored"
    assert not [name for name in found if name.startswith("clip.") and ".lora_" not in name]
    loaded = stored(weights, variant)
    state = loaded.state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value), name
    merged, _ = load_model(experiment(variant), weights)
    assert not [name for name, _ in merged.named_modules() if "lora" in name]
    assert not loaded.training
    assert not merged.training
    with torch.no_grad():
        adapted, again, without = (one(IMAGES, TEXTS, IMAGE_INDEX) for one in (model, loaded, merged))
    assert torch.equal(again, adapted)
    torch.testing.assert_close(without, adapted, rtol=0, atol=1e-4)


def test_a_run_keeps_its_configuration_costs_and_curve(weights: Path) -> None:
    model, folder = save(weights)
    run = trained_run(model, experiment())
    assert json.loads((folder / "config.json").read_text()) == experiment().plain()
    assert Training.model_validate_json((folder / "train.json").read_text()) == run.training
    pd.testing.assert_frame_equal(load_curve(folder / "curve.csv"), run.curve, check_dtype=False)


def test_the_fingerprint_is_of_configuration_foundation_and_data(weights: Path) -> None:
    save(weights)
    _, found = load_model(experiment(), weights)
    assert found == fingerprint(
        experiment().plain(), foundation_hash(foundation_hashes(foundation_files(weights))), DATA
    )


def test_a_run_says_on_which_foundation_files_and_data_it_was_trained(weights: Path) -> None:
    _, folder = save(weights)
    metadata = runs.read_metadata(folder / "model.safetensors")
    assert json.loads(metadata["foundation"]) == {name: sha256(f) for name, f in foundation_files(weights).items()}
    assert metadata["data"] == DATA


def test_the_foundation_hash_covers_every_file(weights: Path) -> None:
    before = foundation_hash(foundation_hashes(foundation_files(weights)))
    assert foundation_hash(foundation_hashes(foundation_files(weights))) == before
    for file in foundation_files(weights).values():
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        assert foundation_hash(foundation_hashes(foundation_files(weights))) != before, file
        file.write_bytes(content)


def test_saving_again_replaces_the_older_run_whole(weights: Path) -> None:
    _, folder = save(weights, seed=0)
    (folder / "stray.txt").write_text("of the older run")
    model, _ = save(weights, seed=1)
    loaded = stored(weights)
    assert not (folder / "stray.txt").exists()
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in model.state_dict().items())


def test_an_interrupted_save_leaves_the_older_run_whole(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, folder = save(weights, seed=0)

    def interrupted(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_curve", interrupted)
        with pytest.raises(OSError, match="no space left"):
            save(weights, seed=1)
    loaded = stored(weights)
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in model.state_dict().items())
    save(weights, seed=1)  # and is no obstacle to the next
    assert [entry.name for entry in folder.parent.iterdir()] == ["0"]


# ------------------------------------------------------------------------------------------------------------ refusals

TRAIN_IT = r"Train it: dvc repro train@fake-tiny-rsrefseg-0"


def test_a_run_that_was_not_trained_is_named_with_the_command_that_trains_it(weights: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"runs/fake/tiny/rsrefseg/0/model\.safetensors: not found\. {TRAIN_IT}"
    ):
        load_model(experiment(), weights)


def test_a_run_of_another_configuration_is_refused(subtests: pytest.Subtests, weights: Path) -> None:
    save(weights)
    now = r"config\.json: not the configuration that params\.yaml gives now: "
    rows: list[tuple[dict[str, Any], str]] = [
        ({"lr": 5e-4}, r"train\.lr was 0\.001 and is 0\.0005"),
        ({"clip_norm": 1.0}, r"train\.clip_norm was None and is 1\.0"),
        ({"loss": LossConfig(bce=5, dice=0)}, r"train\.loss\.dice was 1\.0 and is 0\.0"),
    ]
    for difference, said in rows:
        with subtests.test(msg=said), pytest.raises(CheckpointError, match=rf"{now}{said}\. {TRAIN_IT}"):
            load_model(experiment(**difference), weights)


def test_another_variant_in_a_run_s_place_is_refused(weights: Path) -> None:
    _, folder = save(weights, "no_lora")
    folder.rename(folder.parents[1] / "moved")
    (folder.parents[1] / "rsrefseg").mkdir()
    (folder.parents[1] / "moved").rename(folder.parents[1] / "rsrefseg" / "0")
    with pytest.raises(CheckpointError, match=r"model\.lora was None and is .*variant was 'no_lora' and is 'rsrefseg'"):
        load_model(experiment(), weights)


def test_many_differences_are_counted(weights: Path) -> None:
    save(weights)
    many = {"lr": 5e-4, "epochs": 7, "batch_size": 9, "weight_decay": 0.5, "warmup_epochs": 0.1}
    with pytest.raises(CheckpointError, match=r"train\.batch_size was 2 and is 9, .*, and 2 more\. "):
        load_model(experiment(**many), weights)


def test_a_configuration_put_beside_another_run_s_weights_is_refused(weights: Path) -> None:
    _, folder = save(weights)
    (folder / "config.json").write_text(json.dumps(experiment(lr=5e-4).plain()))
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: not of the run that .*config\.json .*{TRAIN_IT}"):
        load_model(experiment(lr=5e-4), weights)


def test_weights_that_do_not_say_where_they_are_from_are_refused(weights: Path) -> None:
    _, folder = save(weights)
    file = folder / "model.safetensors"
    save_tensors(file, load_tensors(file, ""), {"fingerprint": "0" * 16})
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: does not say what it was trained on\. {TRAIN_IT}"):
        load_model(experiment(), weights)


class Malice:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_a_pickle_in_place_of_the_weights_is_refused_and_never_executed(weights: Path) -> None:
    _, folder = save(weights)
    torch.save({"weights": Malice()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"not a whole safetensors file .*{TRAIN_IT}"):
        load_model(experiment(), weights)
    assert not Path("executed").exists()


def test_a_run_on_other_or_missing_foundation_weights_is_refused(subtests: pytest.Subtests, weights: Path) -> None:
    save(weights)
    assert set(foundation_files(weights)) == {"clip", "sam", "tokenizer"}
    other = r"model\.safetensors: trained on other foundation weights than"
    for name, file in foundation_files(weights).items():
        whole = file.read_bytes()
        with subtests.test(msg=f"other {name}"):
            if name == "tokenizer":
                file.write_bytes(whole + b"\n")
            else:
                save_tensors(file, {key: value + 1e-3 for key, value in load_tensors(file, "").items()})
            with pytest.raises(CheckpointError, match=rf"{other} {re.escape(str(file))}\. If .*{TRAIN_IT}"):
                load_model(experiment(), weights)
        file.unlink()
        with (
            subtests.test(msg=f"no {name}"),
            pytest.raises(FileNotFoundError, match=r"weights/tiny/.*experiments\.foundation"),
        ):
            load_model(experiment(), weights)
        file.write_bytes(whole)
    load_model(experiment(), weights)


def test_a_truncated_run_is_refused(subtests: pytest.Subtests, weights: Path) -> None:
    _, folder = save(weights)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for kept in (0, 100, -1):
        file.write_bytes(whole[:kept])
        with (
            subtests.test(msg=f"{kept} bytes"),
            pytest.raises(CheckpointError, match=rf"model\.safetensors: not a whole safetensors file .*{TRAIN_IT}"),
        ):
            load_model(experiment(), weights)


def test_a_run_with_a_missing_or_unexpected_key_is_refused(subtests: pytest.Subtests, weights: Path) -> None:
    _, folder = save(weights)
    file = folder / "model.safetensors"
    tensors, metadata = load_tensors(file, ""), runs.read_metadata(file)
    lacking = {name: value for name, value in tensors.items() if name != "prompter.project.bias"}
    for found, said in (
        (lacking, r"1 missing \(prompter\.project\.bias\)"),
        ({**tensors, "clip.extra": torch.zeros(1)}, r"1 unexpected \(clip\.extra\)"),
    ):
        save_tensors(file, found, metadata)
        with (
            subtests.test(msg=said),
            pytest.raises(CheckpointError, match=rf"model\.safetensors: .*{said}\. {TRAIN_IT}"),
        ):
            load_model(experiment(), weights)


def test_a_run_whose_configuration_is_damaged_is_named_with_the_remedy(weights: Path) -> None:
    _, folder = save(weights)
    (folder / "config.json").write_text('{"dataset": "fa')
    with pytest.raises(CheckpointError, match=rf"config\.json.*{TRAIN_IT}"):
        load_model(experiment(), weights)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=rf"config\.json.*{TRAIN_IT}"):
        load_model(experiment(), weights)
