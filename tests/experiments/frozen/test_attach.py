"""A training with frozen encoders asks them once, and has the same bytes whatever was kept before."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from rich.console import Console

from benchmark.data.samples import Dataset
from experiments.foundations import foundation_hashes
from experiments.frozen.attach import recall_in_training
from experiments.frozen.feature_files import FeatureFiles
from experiments.repeatable import make_repeatable
from experiments.runs import TrainedRun
from experiments.settings import ExperimentConfig, FeaturesConfig
from experiments.training.loop import fit
from models.pixels import afresh
from models.rsrefseg import RSRefSeg
from models.weights.files import foundation_files
from tests.experiments.training.test_loop import tiny_experiment
from tests.tiny import VARIANTS, random_image, tiny_config, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads 10 tokens


def experiment(variant: str = "no_lora", compute: dict[str, Any] | None = None, **train: Any) -> ExperimentConfig:
    config = tiny_experiment(**{"epochs": 2, "lr": 1e-3, **train})
    model = tiny_config({**VARIANTS[variant], "compute": compute or {}})
    return config.model_copy(update={"variant": variant, "model": model})


@dataclass
class Trainings:
    """Of one dataset and foundation, with a cache in `folder`."""

    dataset: Dataset
    weights: Path
    folder: Path
    calls: Counter[str] = field(default_factory=Counter)  # of each encoder
    told: str = ""

    def model(self, config: ExperimentConfig, gigabytes: float = 1, sharded: bool = False, **hashes: str) -> RSRefSeg:
        make_repeatable(config.seed, config.train.threads)
        model = RSRefSeg.from_foundation(config.model, self.weights)
        foundation = {**foundation_hashes(foundation_files(self.weights)), **hashes}
        stream = io.StringIO()
        recall_in_training(
            model,
            config,
            foundation,
            self.dataset,
            FeaturesConfig(gigabytes=gigabytes),
            Console(file=stream, width=500),
            sharded=sharded,
            folder=self.folder,
        )
        self.told = stream.getvalue()
        return model

    def run(self, config: ExperimentConfig, **settings: Any) -> TrainedRun:
        model = self.model(config, **settings)
        self.calls.clear()
        with counted(model, self.calls):
            return fit(model, self.dataset, config, Accelerator(cpu=True), Console(quiet=True))

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*/*/??/*"))


@contextmanager
def counted(model: RSRefSeg, calls: Counter[str]) -> Iterator[None]:
    """Count how often each encoder is called."""

    def count(name: str) -> Callable[..., None]:
        return lambda module, given, output: calls.update([name])

    hooks = [encoder.register_forward_hook(count(name)) for name, encoder in model.encoders().items()]
    yield
    for hook in hooks:
        hook.remove()


@pytest.fixture
def trainings(dataset: Dataset, weights: Path, tmp_path: Path) -> Trainings:
    return Trainings(dataset, weights, tmp_path / "features")


def same(one: TrainedRun, other: TrainedRun) -> bool:
    """Whether two trainings ended with the same bytes, and went the same way."""
    equal = all(torch.equal(one.state[name], value) for name, value in other.state.items())
    return equal and one.state.keys() == other.state.keys() and one.curve.equals(other.curve)


def shown(dataset: Dataset) -> pd.DataFrame:
    """The samples of training and validation."""
    return dataset.samples[dataset.samples["split"].isin(["train", "val"])]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_has_the_same_bytes_whatever_was_kept_before(
    trainings: Trainings, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment(compute={"precision": precision})
    off = trainings.run(config, gigabytes=0)
    assert "are not kept" in trainings.told
    assert not trainings.files()

    read, running = FeatureFiles.read, [0]

    def disturbed(files: FeatureFiles, image: str) -> Any:
        """In the midst of it another run of the same foundation fills the same folder."""
        running[0] += 1
        if running[0] == 5:
            with torch.enable_grad():
                trainings.run(config.model_copy(update={"seed": 7}))
        return read(files, image)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureFiles, "read", disturbed)
        beside = trainings.run(config)
    warm = trainings.run(config)
    assert trainings.calls["sam"] == trainings.calls["clip_vision"] == 0
    for number, file in enumerate(trainings.files()):
        content = file.read_bytes()
        file.write_bytes([content[:100], b"", content[:9] + b"?" + content[10:], content][number % 4])
    damaged = trainings.run(config)
    assert trainings.calls["sam"] > 0
    for file in trainings.files():
        file.unlink()
    cold = trainings.run(config)
    for other in (beside, warm, damaged, cold):
        assert same(other, off)


def test_frozen_encoders_see_each_image_and_text_once(trainings: Trainings, dataset: Dataset) -> None:
    config, samples = experiment(expressions_per_image=None), shown(dataset)
    trainings.run(config)
    ids, _ = trainings.model(config).clip.tokens(samples["expression"].tolist())
    images = samples["image_id"].nunique()
    assert trainings.calls == {"clip_vision": images, "sam": images, "clip_text": len(ids.unique(dim=0))}
    # other variants and seeds of the same foundation find them
    trainings.run(experiment("no_lora", seed=3).model_copy(update={"variant": "another"}))
    assert trainings.calls["sam"] == trainings.calls["clip_vision"] == 0


def test_what_is_recalled_is_what_is_computed(trainings: Trainings, weights: Path) -> None:
    """Within the last digits of sums that are made of one image or of several; of bfloat16 float16 keeps every one."""
    images, texts = [random_image(40, 30, 0), random_image(64, 64, 1)], ["the red ship", "road", "the small road"]
    for precision in ("float32", "bfloat16"):
        config = experiment(compute={"precision": precision})
        plain = tiny_model(weights, "no_lora", compute={"precision": precision})
        model = trainings.model(config).eval()
        model.load_state_dict(plain.state_dict())
        for _ in range(2):
            recalled = model.predict_logits(images, texts, [1, 0, 1])
            for one, other in zip(recalled, plain.predict_logits(images, texts, [1, 0, 1]), strict=True):
                tolerance = {"float32": 1e-4, "bfloat16": 5e-2}[precision]
                assert torch.allclose(torch.from_numpy(one), torch.from_numpy(other), atol=tolerance), precision


def test_other_weights_or_preprocessing_find_nothing(trainings: Trainings, dataset: Dataset) -> None:
    config, images = experiment(epochs=1), shown(dataset)["image_id"].nunique()
    trainings.run(config)
    trainings.run(config, sam="f" * 64)
    assert trainings.calls["sam"] == images
    assert trainings.calls["clip_vision"] == 0, "CLIP's are the same"
    clip = config.model.clip.model_copy(update={"through_side": 64})
    trainings.run(config.model_copy(update={"model": config.model.model_copy(update={"clip": clip})}))
    assert trainings.calls["clip_vision"] == images
    assert trainings.calls["sam"] == 0


def test_encoders_that_train_are_never_recalled(trainings: Trainings, weights: Path) -> None:
    for variant in ("rsrefseg", "text_upper_half", "text_frozen"):
        model = trainings.model(experiment(variant))
        assert model.clip.recall is model.sam.recall is afresh
        assert (model.clip.recall_texts is not None) == (variant == "text_frozen")
    assert not trainings.folder.exists()


@pytest.mark.parametrize(
    ("settings", "train", "said"),
    [
        pytest.param({}, {"augment": ["flip"]}, "note: train.augment changes images (flip)", id="augmentation"),
        pytest.param({"sharded": True}, {}, "note: weights are split among processes", id="FSDP"),
        pytest.param({"gigabytes": 1e-4}, {}, "11 images x 0.02 MB, are not kept: 0.000", id="budget"),
    ],
)
def test_what_cannot_be_kept_is_said_in_a_line_and_not_kept(
    trainings: Trainings, settings: dict[str, Any], train: dict[str, Any], said: str
) -> None:
    trainings.run(experiment(epochs=1, **train), **settings)
    assert said in trainings.told
    assert trainings.told.count("\n") == 1
    assert not trainings.files()


def test_features_that_dropout_draws_are_not_kept(trainings: Trainings) -> None:
    config = experiment()
    drawing = config.model.sam.model_copy(update={"vision": {**config.model.sam.vision, "attention_dropout": 0.1}})
    model = trainings.model(config.model_copy(update={"model": config.model.model_copy(update={"sam": drawing})}))
    assert model.sam.recall is afresh
    assert model.clip.recall is not afresh
