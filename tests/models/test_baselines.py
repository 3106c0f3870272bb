from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.baselines import ClipHeatMap, HeatMapPoint, build_control
from models.config import ModelConfig
from models.systems import SYSTEMS
from tests.tiny import random_image

SIZES = ((40, 72), (64, 64))
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
TEXTS, IMAGE_INDEX = ["the red ship", "road", "the green tank"], [1, 0, 0]
CONTROLS = SYSTEMS["rsrefseg"].controls


def test_every_control_gives_a_bool_mask_at_each_image_s_own_size(
    config: ModelConfig, weights: Path, subtests: pytest.Subtests
) -> None:
    for name in CONTROLS:
        with subtests.test(name):
            masks = build_control(name, config, weights).predict(IMAGES, TEXTS, IMAGE_INDEX)
            assert [mask.shape for mask in masks] == [SIZES[image] for image in IMAGE_INDEX]
            assert all(mask.dtype == np.bool_ for mask in masks)


def test_a_control_s_prediction_does_not_depend_on_its_neighbours(
    config: ModelConfig, weights: Path, subtests: pytest.Subtests
) -> None:
    for name in CONTROLS:
        with subtests.test(name):
            control = build_control(name, config, weights).double()
            together = control.predict(IMAGES, TEXTS, IMAGE_INDEX)
            for number, (text, image) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
                (alone,) = control.predict([IMAGES[image]], [text], [0])
                np.testing.assert_array_equal(alone, together[number])


def test_whole_image_needs_no_weights_and_takes_everything(config: ModelConfig, tmp_path: Path) -> None:
    masks = build_control("whole_image", config, tmp_path / "absent").predict(IMAGES, TEXTS, IMAGE_INDEX)
    assert all(mask.all() for mask in masks)


def test_the_others_need_the_foundation_weights(config: ModelConfig, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in ("clip_heat_map", "heat_map_point"):
        with subtests.test(name), pytest.raises(FileNotFoundError, match=r"experiments\.foundation"):
            build_control(name, config, tmp_path)


def test_the_heat_map_is_the_scaled_cosine_of_sentence_and_patches(config: ModelConfig, weights: Path) -> None:
    control = build_control("clip_heat_map", config, weights)
    with torch.no_grad():
        heat = control.heat(IMAGES, TEXTS, IMAGE_INDEX)
        features = control.clip(IMAGES, TEXTS)
    assert heat.shape == (3, 8, 8)
    for number, row, column in ((0, 0, 0), (1, 3, 7), (2, 7, 4)):
        patch = features.visual_BCHW[IMAGE_INDEX[number], :, row, column]
        cosine = patch @ features.sentence_NC[number] / (patch.norm() * features.sentence_NC[number].norm())
        expected = (cosine * features.scale + features.bias).item()
        assert heat[number, row, column].item() == pytest.approx(expected, abs=1e-4)


class FakeHeat:
    """A heat map that is above 0 in one cell only: row 1, column 6 of 8 x 8."""

    def __call__(self, images: list[Tensor], texts: list[str], image_index: list[int]) -> Tensor:
        heat = torch.full((len(texts), 8, 8), -1.0)
        heat[:, 1, 6] = 3.0
        return heat


def test_the_heat_map_is_cut_at_zero_where_it_lies(
    config: ModelConfig, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = build_control("clip_heat_map", config, weights)
    assert isinstance(control, ClipHeatMap)
    monkeypatch.setattr(control, "heat", FakeHeat())
    (mask,) = control.predict([torch.zeros(3, 80, 160, dtype=torch.uint8)], ["road"], [0])
    rows, columns = np.nonzero(mask)
    assert mask[15, 130]
    assert (rows.min() >= 5, rows.max() < 25, columns.min() >= 110, columns.max() < 150) == (True,) * 4


def test_sam_is_clicked_once_on_the_object_at_the_centre_of_the_peak(
    config: ModelConfig, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = build_control("heat_map_point", config, weights)
    assert isinstance(control, HeatMapPoint)
    clicks: list[tuple[list[list[list[float]]], list[list[float]]]] = []
    embed = control.sam.embed_points

    def spy(points: Tensor, labels: Tensor) -> Tensor:
        clicks.append((points.tolist(), labels.tolist()))
        return embed(points, labels)

    monkeypatch.setattr(control, "heat", FakeHeat())
    monkeypatch.setattr(control.sam, "embed_points", spy)
    control.predict([torch.zeros(3, 80, 160, dtype=torch.uint8)], ["road", "ship"], [0, 0])
    ((points, labels),) = clicks
    assert labels == [[1.0], [1.0]]
    # the cell's centre is (52, 12) in SAM's 64 px; SAM itself adds the half pixel of a pixel's centre
    assert np.abs(np.array(points) - [[[52, 12]]]).max() <= 0.5
