"""The measuring modules, at their smallest: they run, and what they say can be."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from experiments.speed import evaluation, limits, loading, training
from experiments.speed.child import run
from experiments.speed.inputs import drawn

SMALL = {  # module -> what it does less of
    training: {"EXPRESSIONS": (2,), "TURNS": 1},
    evaluation: {"EXPRESSIONS": (2,), "IMAGES": 1, "TURNS": 1, "GROWING": (1, 4), "SIDES": (96,)},
    loading: {"KINDS": {"jpg": loading.KINDS["jpg"]}, "IMAGES": 2, "TURNS": 1},
}


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_measures_what_it_says(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL[module].items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(evaluation, "measure", evaluation._mini)  # the paper's size takes a minute
    monkeypatch.setattr(limits, "FILE", 2**16)
    found = run(module)
    for pair in found["pairs"]:
        assert pair["ratio"] == pytest.approx(pair["reference"] / pair["ours"])  # of one turn
        assert 0 < pair["share"] <= 1
    assert len(found["pairs"]) == 1
    memory = [growth["peak_mb"] for growth in found["growths"] if growth["over"] == "expressions an image"]
    assert memory == sorted(memory)


def test_scenes_are_drawn_with_as_many_sentences_as_asked_for_each_with_its_object() -> None:
    batch = drawn(2, 30, side=128)
    assert batch.image_index == [0] * 30 + [1] * 30
    assert len(set(batch.texts[:30])) < 30, "it would not say what happens where a scene has few sentences"
    first: dict[str, np.ndarray] = {}
    for text, mask in zip(batch.texts[:30], batch.masks[:30], strict=True):
        assert np.array_equal(first.setdefault(text, mask), mask)
        assert mask.any()
