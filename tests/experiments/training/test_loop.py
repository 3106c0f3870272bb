from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from torch import nn

from benchmark.data.loader import Batch, batches
from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets.synthetic import SyntheticConfig, build
from benchmark.evaluator import evaluate
from benchmark.metrics.iou import miou
from experiments.config import fingerprint, load_params, resolve
from experiments.runs import TrainedRun
from experiments.settings import ExperimentConfig, LossConfig, TrainConfig
from experiments.training import loop
from experiments.training import step as train_step
from experiments.training.loop import fit as fit_model
from experiments.training.losses import batch_loss
from experiments.training.schedule import lr_ratio
from experiments.training.step import TrainStep
from models.rsrefseg import RSRefSeg
from tests.tiny import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads 10 tokens
QUIET = Console(quiet=True)
TRACE = Path(__file__).with_name("loss_trace.json")
ROOT = Path(__file__).parents[3]


def tiny_experiment(seed: int = 0, **train_settings: object) -> ExperimentConfig:
    settings = {
        "epochs": 2,
        "step_of": "images",
        "batch_size": 2,
        "expressions_per_image": 2,
        "lr": 1e-2,
        "warmup_epochs": 0.5,
        "warmup_start": "one_step",
        "cosine": "per_step",
        "final_lr_ratio": 0.01,
        "weight_decay": 0.05,
        "clip_norm": 1.0,
        "loss": {"bce": 5, "dice": 1},
        "label_side": None,
        "select": "best",
        "threads": 1,
        "augment": [],
        **train_settings,
    }
    return ExperimentConfig(
        dataset="synthetic",
        model_name="mini",
        variant="rsrefseg",
        seed=seed,
        model=tiny_config(),
        train=TrainConfig.model_validate(settings),
    )


def fit(dataset: Dataset, weights: Path, config: ExperimentConfig) -> tuple[RSRefSeg, TrainedRun]:
    set_seed(config.seed)
    model = RSRefSeg.from_foundation(config.model, weights)
    return model, fit_model(model, dataset, config, Accelerator(cpu=True), QUIET)


def test_the_same_seed_trains_the_same_weights_and_another_seed_does_not(dataset: Dataset, weights: Path) -> None:
    first, again, other = (fit(dataset, weights, tiny_experiment(seed))[1] for seed in (0, 0, 1))
    assert first.curve.equals(again.curve)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_the_best_epoch_is_the_best_validation_miou_of_the_function_that_reports_it(
    dataset: Dataset, weights: Path
) -> None:
    model, run = fit(dataset, weights, tiny_experiment(epochs=4))
    by_epoch = run.curve.dropna(subset="val_miou").set_index("epoch")["val_miou"]
    assert len(by_epoch) == 4
    assert run.training.best_epoch == by_epoch.idxmax()
    assert run.training.selection_split == "val"
    model.load_state_dict(run.state, strict=False)
    lines = evaluate(model.eval(), dataset, "val", batch_images=1).lines
    assert miou(lines) == pytest.approx(by_epoch.max(), abs=1e-6)
    assert run.training.best_value == pytest.approx(by_epoch.max(), abs=1e-6)


def test_a_collapsed_validation_is_warned_of_once_noted_in_the_curve_and_changes_nothing(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(config: ExperimentConfig) -> tuple[str, TrainedRun]:
        stream = io.StringIO()
        set_seed(config.seed)
        model = RSRefSeg.from_foundation(config.model, weights)
        run = fit_model(model, dataset, config, Accelerator(cpu=True), Console(file=stream, width=500))
        return stream.getvalue(), run

    config = tiny_experiment(epochs=3)
    as_it_is = printed(config)[1]
    predict = RSRefSeg.predict

    def nothing(model: RSRefSeg, *asked: Any) -> list[Any]:
        return [mask & False for mask in predict(model, *asked)]

    monkeypatch.setattr(RSRefSeg, "predict", nothing)
    text, run = printed(config)
    assert run.curve.dropna(subset="val_miou")["collapsed"].tolist() == ["empty"] * 3
    assert run.curve[run.curve["val_miou"].isna()]["collapsed"].isna().all()
    assert text.count("warning: the validation of epoch 1 has collapsed: empty masks (100.0%)") == 1
    assert text.count("warning") == 1
    assert "2 epoch(s) left; if it stays, try less train.loss.bce" in text
    assert text.count("val mIoU 0.0000, collapsed: empty masks") == 3
    assert run.curve["loss"].equals(as_it_is.curve["loss"])


def test_training_never_reads_the_test_split(dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    split = Dataset.split
    monkeypatch.setattr(Dataset, "split", lambda self, name: asked.append(name) or split(self, name))
    fit(dataset, weights, tiny_experiment(epochs=1))
    assert set(asked) == {"train", "val"}


def test_training_batches_are_augmented_and_no_others(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Batch]] = {"train": [], "val": []}

    def spy(dataset: Dataset, split: str, *args: int, **settings: Any) -> Iterator[Batch]:
        for batch in batches(dataset, split, *args, **settings):
            seen[split].append(batch)
            yield batch

    monkeypatch.setattr("experiments.training.loop.batches", spy)
    monkeypatch.setattr("benchmark.evaluator.batches", spy)
    fit(dataset, weights, tiny_experiment(epochs=2, augment=["flip", "turn", "colour", "scale"]))
    said = dataset.samples.set_index("sample_id")["expression"]
    changed = {
        split: sum(
            text != said[sample_id]
            for batch in read
            for text, sample_id in zip(batch.texts, batch.sample_ids, strict=True)
        )
        for split, read in seen.items()
    }
    assert changed["train"] > 0
    assert seen["val"]
    assert changed["val"] == 0
    assert {image.shape[1] for batch in seen["val"] for image in batch.images} == {96}
    assert len({image.shape[1] for batch in seen["train"] for image in batch.images}) > 1


def test_only_what_is_declared_trains(dataset: Dataset, weights: Path) -> None:
    config = tiny_experiment(epochs=1)
    set_seed(0)
    model = RSRefSeg.from_foundation(config.model, weights)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_model(model, dataset, config, Accelerator(cpu=True), QUIET)
    trained = set(model.trained_state())
    for name, value in model.state_dict().items():
        assert name in trained or torch.equal(value, before[name]), f"{name} changed but is not declared trained"


def test_a_loss_that_is_not_finite_stops_with_step_lr_and_sample_ids(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def third_is_nan(logits: torch.Tensor, batch: Batch, weights: LossConfig, label_side: None) -> torch.Tensor:
        calls.append(batch.sample_ids)
        return logits.mean() * (math.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(train_step, "batch_loss", third_is_nan)
    with pytest.raises(FloatingPointError, match=r"nan at step 3 \(lr [0-9.e-]+, samples train_") as caught:
        fit(dataset, weights, tiny_experiment())
    assert all(sample_id in str(caught.value) for sample_id in calls[2])


def test_the_rate_warms_up_linearly_and_ends_at_the_final_ratio() -> None:
    settings = tiny_experiment(epochs=10, warmup_epochs=2).train
    rates = [lr_ratio(step, 10, settings) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20] == pytest.approx(1)
    assert max(rates) == pytest.approx(1)
    assert rates[100] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in pairwise(rates[20:]))


def test_a_polynomial_falls_from_the_warm_up_to_the_final_ratio() -> None:
    settings = tiny_experiment(epochs=10, warmup_epochs=2, polynomial=0.9).train
    rates = [lr_ratio(step, 10, settings) for step in range(101)]
    assert (rates[0], rates[20], rates[100]) == pytest.approx((1 / 21, 1, 0.01))
    assert rates[60] == pytest.approx(0.01 + 0.99 * 0.5**0.9)


def test_a_longer_cosine_is_cut_off_before_its_foot() -> None:
    """RSRefSeg 2 ends at 0.22 of its rate: 300 epochs, 1.3 times as long a half period, a foot of 0.1."""
    train = load_params(ROOT / "params.yaml").train
    settings = train.model_copy(update={"epochs": 300, "cosine_period": 1.3, "final_lr_ratio": 0.1})
    assert lr_ratio(299 * 7, 7, settings) == pytest.approx(0.22, abs=0.01)


def test_the_released_rate_by_number() -> None:
    """0.01 at first, 1 at the last step of the warm-up; then by epoch, 0.0148 in number 190 and 0.0032 in the last."""
    settings = load_params(ROOT / "params.yaml").train
    first = [lr_ratio(epoch * 7, 7, settings) for epoch in range(200)]
    assert first[0] == 0.01
    assert first[4] == pytest.approx(0.01 + 0.99 * 28 / 34)
    assert lr_ratio(34, 7, settings) == pytest.approx(1)
    assert first[5] == 1
    assert (round(first[190], 4), round(first[199], 4)) == (0.0148, 0.0032)
    assert all(lr_ratio(190 * 7 + step, 7, settings) == first[190] for step in range(7))
    assert all(later < earlier for earlier, later in pairwise(first[5:]))


def test_a_label_side_takes_the_loss_there_from_the_nearest_pixels_of_each_label(dataset: Dataset) -> None:
    batch = next(batches(dataset, "train", 1))
    batch = replace(batch, masks=[mask[: 40 + 8 * (place % 2)] for place, mask in enumerate(batch.masks)])
    logits = torch.randn(len(batch.texts), 16, 16, generator=torch.Generator().manual_seed(0))
    by_hand = []
    for logit, mask in zip(logits, batch.masks, strict=True):
        full = torch.nn.functional.interpolate(logit[None, None], size=(60, 60), mode="bilinear", align_corners=False)
        rows, columns = ([int(cell * side / 60) for cell in range(60)] for side in mask.shape)
        truth, share = torch.from_numpy(mask)[rows][:, columns], full[0, 0].double().sigmoid()
        by_hand.append(-torch.where(truth, share, 1 - share).log().mean().item())
    found = batch_loss(logits, batch, LossConfig(bce=5, dice=0), 60).item()
    assert found == pytest.approx(5 * sum(by_hand) / len(by_hand))


def test_a_step_of_pairs_learns_from_batch_size_pairs(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[str]] = []
    loss = TrainStep.loss
    monkeypatch.setattr(
        TrainStep, "loss", lambda self, batch, *of: steps.append(batch.sample_ids) or loss(self, batch, *of)
    )
    run = fit(dataset, weights, tiny_experiment(epochs=1, step_of="pairs", batch_size=5, expressions_per_image=None))[1]
    pairs = dataset.manifest.counts["train"]["samples"]
    assert [len(step) for step in steps] == [5] * (pairs // 5) + [pairs % 5] * (pairs % 5 > 0)
    assert len({name for step in steps for name in step}) == pairs
    assert run.training.steps == len(steps)


def accumulated(dataset: Dataset, weights: Path, parts: int) -> TrainedRun:
    """Batches of ten pairs in so many parts, clipped, without dropout."""
    settings = {"step_of": "pairs", "batch_size": 10, "expressions_per_image": None, "lr": 1e-3, "epochs": 1}
    config = tiny_experiment(**settings, gradient_accumulation=parts)
    assert dataset.manifest.counts["train"]["samples"] % 10 == 2  # the last batch does not fill five parts
    model = tiny_config({"lora": {"dropout": 0}})
    return fit(dataset, weights, config.model_copy(update={"model": model}))[1]


def test_parts_of_a_batch_learn_what_the_batch_does_where_no_norm_counts_over_it(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fixed(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(nn.BatchNorm2d, "forward", fixed)
    whole, *others = (accumulated(dataset, weights, parts) for parts in (1, 2, 5))
    for run in others:
        assert run.training.steps == whole.training.steps
        assert run.curve["lr"].equals(whole.curve["lr"])
        assert run.curve["loss"].dropna().tolist() == pytest.approx(whole.curve["loss"].dropna().tolist(), rel=1e-5)


def test_a_part_is_normalised_over_itself_so_the_recipe_is_another(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    run = accumulated(dataset, weights, 2)
    set_seed(0)
    model = RSRefSeg.from_foundation(run.config.model, weights).train()
    batch = next(batches(dataset, "train", 10, of="pairs", shuffle=(0, 1)))
    parts = [next(batches(dataset, "train", 10, of="pairs", shuffle=(0, 1), share=(part, 2))) for part in (0, 1)]
    by_hand, whole = (
        sum(
            len(part.texts)
            / 10
            * batch_loss(model(part.images, part.texts, part.image_index), part, run.config.train.loss, None).item()
            for part in some
        )
        for some in (parts, [batch])
    )
    assert run.curve["loss"][0] == pytest.approx(by_hand, rel=1e-6)
    assert abs(whole / by_hand - 1) > 1e-3
    one = tiny_experiment(gradient_accumulation=1)
    assert fingerprint(one.plain()) == fingerprint(tiny_experiment().plain())  # runs that are older keep theirs
    assert fingerprint(one.plain()) != fingerprint(tiny_experiment(gradient_accumulation=2).plain())


def test_the_last_epoch_is_kept_where_it_is_asked_for_though_an_earlier_one_was_better(
    dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for select, epoch, value in (("last", 2, 0.25), ("best", 1, 0.75)):
        falling = iter((0.75, 0.25))
        monkeypatch.setattr(loop, "miou", lambda _lines, values=falling: next(values))
        model, run = fit(dataset, weights, tiny_experiment(select=select))
        kept = run.training
        assert (kept.best_epoch, kept.best_value) == (epoch, value)
        assert (kept.selection_metric, kept.selection_split) == ((None, None) if select == "last" else ("miou", "val"))
        same = all(torch.equal(run.state[name], tensor) for name, tensor in model.trained_state().items())
        assert same == (select == "last")


def test_the_loss_is_at_the_labels_size_and_a_mean_over_samples(dataset: Dataset) -> None:
    batch = next(batches(dataset, "train", 2))
    logits = torch.randn(len(batch.texts), 16, 16, generator=torch.Generator().manual_seed(0))
    weights = LossConfig(bce=5, dice=0)
    by_hand = []
    for logit, mask in zip(logits, batch.masks, strict=True):
        full = torch.nn.functional.interpolate(
            logit[None, None], size=mask.shape, mode="bilinear", align_corners=False
        )[0, 0].double()
        truth = torch.from_numpy(mask).double()
        by_hand.append(-(truth * full.sigmoid().log() + (1 - truth) * (1 - full.sigmoid()).log()).mean())
    assert batch_loss(logits, batch, weights, None).item() == pytest.approx(5 * sum(by_hand).item() / len(by_hand))


def test_an_epoch_draws_anew_but_from_the_seed(dataset: Dataset) -> None:
    def ids(shuffle: tuple[int, int]) -> list[str]:
        return [
            name
            for batch in batches(dataset, "train", 2, shuffle=shuffle, expressions_per_image=1)
            for name in batch.sample_ids
        ]

    assert ids((0, 1)) == ids((0, 1))
    assert ids((0, 1)) != ids((0, 2))
    assert ids((0, 1)) != ids((1, 1))
    assert len(ids((0, 1))) == dataset.manifest.counts["train"]["images"]


def test_twenty_steps_of_mini_follow_the_committed_trace(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refactor must leave this trace as it is; what changes the training on purpose writes it anew (see the file)."""
    committed = json.loads(TRACE.read_text(encoding="utf-8"))
    with monkeypatch.context() as patch:
        found = trace(dataset, patch)
    assert found["losses"] == pytest.approx(committed["losses"], rel=2e-3)
    assert found["lrs"] == pytest.approx(committed["lrs"], rel=1e-5)
    assert found["val_miou"] == pytest.approx(committed["val_miou"], abs=5e-3)


def trace(dataset: Dataset, patch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """Loss and rate of each of 20 steps of `fit`, and validation mIoU of each of 5 epochs: `rsrefseg` in size mini as
    params.yaml has it, on 8 small scenes, two images a step, with a warm-up that ends within the first epoch."""
    config = resolve(load_params(ROOT / "params.yaml"), "synthetic", "mini", "rsrefseg", 0)
    settings = config.train.model_copy(update={"epochs": 5, "batch_size": 2, "warmup_epochs": 0.75})
    config = config.model_copy(update={"train": settings})
    losses: list[float] = []
    lrs: list[float] = []
    update = TrainStep.update

    def noted(step: TrainStep, loss: torch.Tensor, **which: bool) -> None:
        losses.append(loss.item())
        lrs.append(step.lr)
        update(step, loss, **which)

    patch.setattr(TrainStep, "update", noted)
    set_seed(0)
    model = RSRefSeg.from_foundation(config.model, ROOT / "weights" / "mini")
    run = fit_model(model, dataset, config, Accelerator(cpu=True), QUIET)
    return {"losses": losses, "lrs": lrs, "val_miou": run.curve["val_miou"].dropna().tolist()}


if __name__ == "__main__":  # python -m tests.experiments.training.test_loop: write the trace anew
    import tempfile

    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp()) / "synthetic"
    build(folder, SyntheticConfig(train=8, val=3, test=2, side=96))
    with pytest.MonkeyPatch.context() as open_patch:
        written = trace(load_dataset(folder), open_patch)
    about = {"what": "20 steps of fit, test_loop.py", "write_anew": "python -m tests.experiments.training.test_loop"}
    numbers = {name: [float(f"{value:.6g}") for value in values] for name, values in written.items()}
    TRACE.write_text(json.dumps(about | numbers, indent=1) + "\n", encoding="utf-8")
