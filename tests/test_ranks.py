"""One run by two processes: the same as by one. They are started by torchrun or accelerate, as a user starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from benchmark.data.loader import Batch, batches
from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets.synthetic import SyntheticConfig, build
from experiments.commands.train import check_shares
from experiments.ranks import Ranks
from experiments.settings import ConfigError
from experiments.training import loop
from models.tokens import TruncationWarning
from tests.chaos.kills import POINT, make_study
from tests.language_aware import write_swin_bert
from tests.ranks import OTHERS, SPLIT, Trainings, case, seen
from tests.tiny import write_foundation

ROOT = Path(__file__).parents[1]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node")
FILES = ROOT / "experiments" / "training" / "accelerate"
ACCELERATE = ("accelerate.commands.launch", "--config_file")
HERE = ("--num_processes", 2, "--mixed_precision", "no")  # the tiny model computes in float32
POINT_GIVEN = [part for name, value in POINT.items() for part in (f"--{name}", value)]


def start(arguments: Sequence[object], folder: Path = ROOT) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    # one thread each: how many there are is no question here
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Nothing divides: in an epoch of five images in batches of four, the second process has none of the last."""
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    build(folder, SyntheticConfig(train=5, val=3, test=5, side=96))
    return load_dataset(folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_foundation(tmp_path_factory.mktemp("weights"))
    write_swin_bert(OTHERS["lavt"], folder)
    return folder


@pytest.fixture(scope="module")
def found(dataset: Dataset, weights: Path) -> list[dict[str, Any]]:
    """What one process and two saw of the same trainings."""
    ways = ([], [*TORCHRUN, 2, "-m"])
    outs = [weights / f"{name}.json" for name in ("one", "two")]
    running = [start([*how, "tests.ranks", dataset.folder, weights, out]) for how, out in zip(ways, outs, strict=True)]
    for process in running:
        said = process.communicate()[0]
        assert process.returncode == 0, said[-3000:]
    return [json.loads(out.read_text(encoding="utf-8")) for out in outs]


def check_curves(name: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Losses and validation are those of one process. In OTHERS biases lie ahead of norms: their gradient is rounding
    alone, of which AdamW makes steps, so that weights drift apart and after some steps losses too."""
    assert other["losses"][0] == pytest.approx(one["losses"][0], rel=1e-5), name
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-4 if name in OTHERS else 1e-5), name
    assert other["val_miou"] == pytest.approx(one["val_miou"], abs=1e-3 if name in OTHERS else 0), name


def test_two_processes_have_the_losses_of_one_and_choose_the_same_epoch(found: list[dict[str, Any]]) -> None:
    for name, one in found[0].items():
        two = found[1][name]
        assert len(one["losses"]) == len(two["losses"]) > 4, name
        check_curves(name, one, two)
        assert one["statistics"].keys() == two["statistics"].keys() != set()
        if name in OTHERS:
            continue
        for norm, values in one["statistics"].items():
            assert two["statistics"][norm] == pytest.approx(values, rel=1e-5, abs=1e-6), f"{name}, {norm}"


@pytest.mark.parametrize("way", ["fsdp2", "deepspeed_zero2"])
def test_two_processes_that_split_weights_or_what_learns_them_do_the_same_and_one_goes_on_from_their_state(
    way: str, found: list[dict[str, Any]], dataset: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "deepspeed_zero2":
        pytest.importorskip("deepspeed")
    one, out = found[0], weights / f"{way}.json"
    process = start([*ACCELERATE, FILES / f"{way}.yaml", *HERE, "-m", "tests.ranks", dataset.folder, weights, out])
    said = process.communicate()[0]
    assert process.returncode == 0, said[-3000:]
    split = json.loads(out.read_text(encoding="utf-8"))
    about = split.pop("about")
    assert about["same"], "stopped and gone on with: other bytes"
    weights_here, layers, names = {
        "fsdp2": (0.55, {"lavt": 10, "rsrefseg": 7}, SPLIT["FSDP"]),  # nine layers or six, and the rest
        "deepspeed_zero2": (1, {"rsrefseg": 0}, SPLIT["DEEPSPEED"]),
    }[way]
    assert (about["weights_here"], about["learnt_here"]) <= (weights_here, 0.55)
    assert about["split_layers"] == layers
    assert split.keys() == set(names)
    for name, saw in split.items():
        check_curves(name, one[name], saw)
        if name not in OTHERS:
            assert saw["norms"] == pytest.approx(one[name]["norms"], rel=1e-3, abs=1e-5), name
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        alone = Trainings(dataset, weights, Ranks()).stopped(case("rsrefseg"), weights / way / "plain", 0)
    assert alone is not None
    assert seen(alone)["losses"] == pytest.approx(one["rsrefseg"]["losses"], rel=1e-5)


def test_two_processes_predict_the_bytes_of_one(found: list[dict[str, Any]]) -> None:
    for name, one in found[0].items():
        assert one["tables"] == found[1][name]["tables"], name
        assert all(len(table.splitlines()) > 5 for table in one["tables"])


@pytest.mark.parametrize(("of", "size"), [("images", 4), ("pairs", 6)])
def test_shares_are_the_batch_and_who_has_none_gets_a_spare_one(dataset: Dataset, of: Any, size: int) -> None:
    def read(share: tuple[int, int]) -> list[Batch]:
        return list(batches(dataset, "train", size, of=of, shuffle=(0, 1), share=share))

    whole = read((0, 1))
    shares = list(zip(*(read((rank, 3)) for rank in range(3)), strict=True))
    assert len(shares) == len(whole)
    for batch, parts in zip(whole, shares, strict=True):
        learnt = list(chain.from_iterable(part.sample_ids for part in parts if not part.spare))
        assert sorted(learnt) == sorted(batch.sample_ids)
        assert all(set(part.sample_ids) <= set(batch.sample_ids) for part in parts if part.spare)
    assert any(part.spare for part in shares[-1])
    assert not any(batch.spare for batch in whole)


def test_what_processes_cannot_share_is_said(dataset: Dataset) -> None:
    check_shares(dataset, case("rsrefseg"), 4)
    with pytest.raises(ConfigError, match=r"batch_size is 4, which 3 processes .* evenly; start 1 or 2 or 4 of them"):
        check_shares(dataset, case("rsrefseg"), 3)
    said = r"batch_size is 8, which 8 .* evenly in 2 parts .*; start 1 or 2 or 4 of them, or make it a multiple of 16"
    with pytest.raises(ConfigError, match=said):
        check_shares(dataset, case("parts"), 8)
    with pytest.raises(ConfigError, match=r"synthetic: 5 training images for 6 processes; start fewer"):
        check_shares(dataset, case("pairs"), 6)


def test_processes_that_are_about_to_do_different_things_end_before_anything_is_made(tmp_path: Path) -> None:
    study, other = make_study(tmp_path / "one"), make_study(tmp_path / "other")
    params = (other / "params.yaml").read_text(encoding="utf-8")
    (other / "params.yaml").write_text(params.replace("lr: 0.002", "lr: 0.001"), encoding="utf-8")
    script = f'cd "$([ $RANK = 1 ] && echo {other} || echo {study})" && {sys.executable} -m experiments.train '
    apart = start([*TORCHRUN, 2, "--no-python", "bash", "-c", script + " ".join(POINT_GIVEN)], study)
    said = apart.communicate()[0]
    assert apart.returncode != 0
    assert "config.train.lr was 0.002 and is 0.001" in said
    assert not any((folder / place).exists() for folder in (study, other) for place in ("runs", "work"))


def test_a_process_that_fails_ends_the_others_with_its_error(tmp_path: Path) -> None:
    study, other = make_study(tmp_path / "one"), make_study(tmp_path / "other")
    for image in (other / "data" / "synthetic" / "images").iterdir():
        image.unlink()
    script = f'cd "$([ $RANK = 1 ] && echo {other} || echo {study})" && {sys.executable} -m experiments.train '
    done = start([*TORCHRUN, 2, "--no-python", "bash", "-c", script + " ".join(POINT_GIVEN)], study)
    said = done.communicate()[0]
    assert done.returncode != 0
    assert "does not exist" in said
    assert not (study / "runs").exists()


def test_a_process_whose_torchrun_is_gone_does_not_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(server.getsockname()[1])}
    names = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True", **place}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="torchrun, which started this process, does not answer"):
        Ranks()
