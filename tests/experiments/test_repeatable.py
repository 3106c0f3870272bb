from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml

from benchmark.datasets.synthetic import SyntheticConfig, build
from experiments.commands import evaluate, train
from experiments.repeatable import make_repeatable

ROOT = Path(__file__).parents[2]


def test_everything_drawn_follows_the_seed_and_the_threads_are_those_asked_for() -> None:
    draws: list[Callable[[], float]] = [random.random, np.random.random, lambda: torch.rand(()).item()]
    found = []
    for seed, threads in ((1, 2), (1, 3), (2, 2)):
        make_repeatable(seed, threads)
        assert torch.get_num_threads() == threads
        found.append([draw() for draw in draws])
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2], strict=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="nothing is asked of torch on a GPU")
def test_two_threads_add_the_gradients_of_an_image_s_expressions_in_one_order() -> None:
    """Without it, three to ten different sums in 300: the second thread begins within the third image's expressions."""
    make_repeatable(0, 2)
    features_BChw = torch.randn(4, 64, 24, 24, requires_grad=True)
    index_N = [0] * 5 + [1] * 4 + [2] * 5 + [3] * 5
    gradient_NChw = torch.randn(len(index_N), 64, 24, 24)
    chosen = torch.tensor(index_N)
    by_hand = torch.zeros_like(features_BChw)
    for place, image in enumerate(index_N):
        by_hand[image] += gradient_NChw[place]
    for _ in range(50):
        for rows in (features_BChw[index_N], features_BChw[chosen]):
            (found,) = torch.autograd.grad(rows, features_BChw, gradient_NChw)
            assert torch.equal(found, by_hand)


@pytest.mark.parametrize(
    ("command", "variant"), [(train, "rsrefseg"), (evaluate, "rsrefseg"), (evaluate, "whole_image")]
)
def test_training_and_measuring_begin_with_the_runs_seed_and_threads(
    command: ModuleType, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        pass

    def begin(seed: int, threads: int) -> None:
        raise BegunError(f"{seed} {threads}")

    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["models"]["mini"]["train"]["threads"] = 7
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    build(tmp_path / "data" / "synthetic", SyntheticConfig(train=1, val=1, test=1, side=64))
    shutil.copytree(ROOT / "weights" / "mini", tmp_path / "weights" / "mini")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "make_repeatable", begin)
    with pytest.raises(BegunError, match="3 7"):
        command.main("synthetic", "mini", variant, 3)
