"""A training that is stopped, killed or damaged at any point ends as the one that never was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console

from benchmark.data.samples import Dataset
from experiments.runs import TrainedRun
from experiments.stopping import Stop, Stopped
from experiments.training import state
from experiments.training.loop import fit
from experiments.training.losses import batch_loss
from experiments.training.state import Keeper
from models.checkpoint import CheckpointError
from models.rsrefseg import RSRefSeg
from tests.experiments.training.test_loop import tiny_experiment
from tests.tiny import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")  # the tiny model reads 10 tokens
META = {"git_commit": "a", "device": "cpu (1 threads)"}


class Told(Stop):
    """Told to stop when it is looked at for the nth time."""

    def __init__(self, after: int) -> None:
        self.left = after

    @property
    def asked(self) -> str | None:
        self.left -= 1
        return "SIGTERM" if self.left == 0 else None


class Training:
    """One training that is started again and again."""

    def __init__(self, dataset: Dataset, weights: Path, folder: Path) -> None:
        self.dataset, self.weights, self.folder = dataset, weights, folder
        self.config = tiny_experiment(epochs=3)
        assert self.config.model.lora is not None
        assert self.config.model.lora.dropout > 0  # so that every step draws random numbers
        self.printed = ""

    def run(self, after: int = 0, minutes: float = 0.0, meta: dict[str, Any] = META) -> TrainedRun:
        set_seed(self.config.seed)
        model = RSRefSeg.from_foundation(self.config.model, self.weights)
        about = {"point": "a/b/c/0", "config": self.config.plain(), "data": "d", "foundation": "f", "meta": meta}
        stream = io.StringIO()
        console = Console(file=stream, width=500)
        try:
            keeper = Keeper(self.folder, about, minutes, Told(after), console)
            return fit(model, self.dataset, self.config, Accelerator(cpu=True), console, keeper=keeper)
        finally:
            self.printed = stream.getvalue()


@pytest.fixture
def training(dataset: Dataset, weights: Path, tmp_path: Path) -> Training:
    return Training(dataset, weights, tmp_path / "work" / "f00")


@pytest.fixture(scope="session")
def undisturbed(dataset: Dataset, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return Training(dataset, weights, tmp_path_factory.mktemp("work") / "f00").run(minutes=1e9)


def assert_same(run: TrainedRun, other: TrainedRun) -> None:
    assert run.curve.equals(other.curve)
    assert run.state.keys() == other.state.keys()
    assert all(torch.equal(run.state[name], other.state[name]) for name in run.state)
    for name in ("steps", "best_epoch", "best_value"):
        assert getattr(run.training, name) == getattr(other.training, name)


def test_stopped_at_every_step_and_in_every_validation_it_ends_with_the_same_bytes(
    training: Training, undisturbed: TrainedRun
) -> None:
    stops = 0
    while True:
        try:
            run = training.run(after=2 + stops % 3)
            break
        except Stopped:
            stops += 1
    assert stops > 6
    assert len(list(training.folder.glob("step_*"))) == 2
    assert_same(run, undisturbed)


def test_in_bfloat16_and_in_parts_it_goes_on_with_the_same_bytes_and_its_loss_is_float32(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = set()

    def noted(logits: torch.Tensor, *more: Any) -> torch.Tensor:
        loss = batch_loss(logits, *more)
        kinds.update({logits.dtype, loss.dtype})
        return loss

    monkeypatch.setattr("experiments.training.step.batch_loss", noted)
    compute = {"precision": "bfloat16", "gradient_checkpointing": ["clip_vision", "sam"]}
    update = {"model": tiny_config({"compute": compute})}
    training.config = tiny_experiment(gradient_accumulation=2).model_copy(update=update)
    whole = training.run(minutes=1e9)
    for after in (2, 3):
        with pytest.raises(Stopped):
            training.run(after=after)
    assert_same(training.run(), whole)
    assert kinds == {torch.float32}


def test_a_damaged_state_is_named_and_an_older_one_or_none_is_used(
    training: Training, undisturbed: TrainedRun, subtests: pytest.Subtests
) -> None:
    def truncate(folder: Path) -> None:
        (folder / "optimizer.bin").write_bytes((folder / "optimizer.bin").read_bytes()[:-9])

    def flip(folder: Path) -> None:
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[-5] ^= 4
        (folder / "model.safetensors").write_bytes(content)

    def lose(folder: Path) -> None:
        (folder / "random_states_0.pkl").unlink()

    def bracket(folder: Path) -> None:
        (folder / "state.json").write_text("[" * 5000)

    for damage in (truncate, flip, lose, bracket):
        with subtests.test(damage.__name__), pytest.raises(Stopped):
            training.run(after=8)
        newest = max(training.folder.glob("step_*"), key=lambda folder: int(folder.name[5:]))
        damage(newest)
        run = training.run()
        assert f"warning: the state in {newest} is damaged and not used" in training.printed
        assert "goes on after step " in training.printed
        assert_same(run, undisturbed)
        for folder in training.folder.glob("step_*"):
            damage(folder)
        assert_same(training.run(minutes=1e9), undisturbed)
        assert training.printed.count("is damaged and not used") == 2
        assert "goes on after" not in training.printed
        for folder in training.folder.glob("step_*"):
            state.remove(folder)


def test_a_state_of_other_settings_is_named_and_one_of_another_commit_is_used_and_said(training: Training) -> None:
    with pytest.raises(Stopped):
        training.run(after=3)
    first = training.folder
    training.folder = first.with_name("f01")
    training.config = tiny_experiment(epochs=3, lr=0.02)
    with pytest.raises(Stopped):
        training.run(after=3)
    assert f"{first} has a state of this run with other settings (train.lr was 0.01 and is 0.02)" in training.printed
    assert "goes on after" not in training.printed
    training.run(meta={**META, "git_commit": "b"})
    assert "goes on with what may compute otherwise: git_commit was 'a' and is 'b'" in training.printed


def test_where_nothing_can_be_written_the_last_state_stays_whole(
    training: Training, undisturbed: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        training.run(after=4)
    before = {file: file.read_bytes() for file in training.folder.glob("step_*/*")}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("experiments.training.step.save_tensors", full)
        with pytest.raises(CheckpointError, match=r"No space left.*the last that is whole is \S*step_4\. Make room"):
            training.run()
    assert {file: file.read_bytes() for file in training.folder.glob("step_*/*")} == before
    assert_same(training.run(), undisturbed)
