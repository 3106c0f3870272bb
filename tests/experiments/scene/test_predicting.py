from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from benchmark.data.images.scene_files import open_scene
from experiments.scene.predicting import predict_scene
from experiments.scene.state import LEVELS, open_state
from experiments.scene.windows import make_plan
from tests.scenes import Bright, ground, write_scene


def probabilities(path: Path, folder: Path, model: Any, side: int, overlap: float = 0.25) -> NDArray[np.float64]:
    """(height, width) of a scene without gaps."""
    with open_scene(path) as scene:
        plan = make_plan(scene.height, scene.width, (side, side), overlap)
        with open_state(folder, {}, plan, 1) as state:
            predict_scene(scene, model, ["bright"], state, lambda: None)
            return state.lines(0, 0, scene.height) / LEVELS


def test_windows_of_any_size_agree_with_the_scene_as_a_whole(tmp_path: Path) -> None:
    """Exactly, of a model that looks at each pixel alone; but for what window borders hide from it, of another."""
    values = ground(150, 230)
    path = write_scene(tmp_path / "scene.tif", values)
    (whole,) = Bright(3).predict_logits([_tensor(values)], ["bright"], [0])
    (alone,) = Bright(0).predict_logits([_tensor(values)], ["bright"], [0])
    for side in (40, 64, 101):
        found = probabilities(path, tmp_path / f"alone {side}", Bright(0), side)
        assert np.abs(found - expit(alone)).max() <= 1.01 / LEVELS
        found = probabilities(path, tmp_path / f"{side}", Bright(3), side)
        assert np.abs(found - expit(whole)).max() < 0.06
        assert ((found > 0.5) == (whole > 0))[np.abs(whole) > 0.3].all()


def _tensor(values: NDArray[np.uint8]) -> Any:
    return pytest.importorskip("torch").from_numpy(values)


def test_windows_that_say_opposite_things_are_blended_without_a_seam(tmp_path: Path) -> None:
    class Moody:
        calls = 0

        def predict_logits(self, images: Sequence[Any], texts: Sequence[str], index: Sequence[int]) -> list[Any]:
            self.calls += 1
            return [np.full(tuple(images[0].shape[1:]), 9 if self.calls % 2 else -9, np.float32)]

    path = write_scene(tmp_path / "scene.tif", ground(64, 460))
    found = probabilities(path, tmp_path / "state", Moody(), 64, 0.5)
    assert found.min() < 0.1
    assert found.max() > 0.9
    assert np.abs(np.diff(found, axis=1)).max() < 0.08
