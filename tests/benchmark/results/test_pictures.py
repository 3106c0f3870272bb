from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.data.samples import SampleError
from benchmark.results.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    overlay,
    read_examples,
    strip,
)
from benchmark.results.store import find_results
from benchmark.results.truth import load_examples


def test_each_kind_of_pixel_has_its_colour_and_the_image_is_kept() -> None:
    image = np.full((1, 4, 3), 200, dtype=np.uint8)
    truth, prediction = np.array([[1, 1, 0, 0]], dtype=bool), np.array([[1, 0, 1, 0]], dtype=bool)
    painted = overlay(image, truth, prediction, opacity=1)
    assert painted[0, :3].tolist() == [list(TRUE_POSITIVE), list(FALSE_NEGATIVE), list(FALSE_POSITIVE)]
    assert painted[0, 3].tolist() == [140, 140, 140]  # dimmed only
    assert (image == 200).all()


def test_masks_of_another_size_are_refused() -> None:
    image, mask = np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((4, 4), dtype=bool)
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(3, 4\)"):
        overlay(image, mask, mask[:3])


def test_examples_carry_the_runs_predictions(fake_results: Path) -> None:
    stored = find_results(fake_results / "results")[0]
    path = fake_results / "results" / stored.result.run.dataset / "examples.parquet"
    examples = read_examples(path, stored.predictions)
    assert [example.sample_id for example in examples] == load_examples(path)["sample_id"].tolist()
    lines = stored.lines.set_index("sample_id")
    for example in examples:
        line = lines.loc[example.sample_id]
        assert example.iou == pytest.approx(line["intersection"] / line["union"])
        assert example.image.shape[:2] == example.truth.shape == example.prediction.shape
        assert strip(example).shape == (example.image.shape[0], 3 * example.image.shape[1], 3)


def test_an_example_without_prediction_is_named(fake_results: Path) -> None:
    stored = find_results(fake_results / "results")[0]
    path = fake_results / "results" / stored.result.run.dataset / "examples.parquet"
    name = load_examples(path)["sample_id"].iloc[-1]
    with pytest.raises(SampleError, match=name):
        read_examples(path, stored.predictions[stored.predictions["sample_id"] != name])
