"""Masks that were left behind when their images were turned are found; masks in their places are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.audit.audit import audit
from benchmark.audit.findings import Finding
from benchmark.audit.placement import chosen
from benchmark.data.images.raster import turn
from benchmark.data.samples import Dataset, Manifest, make_sample

Pixels = NDArray[np.uint8]


def drawn(seed: int, strength: float, height: int = 96, width: int = 96) -> tuple[Pixels, list[NDArray[np.bool_]]]:
    """Blocks off the middle on noise, and their masks."""
    rng = np.random.default_rng(seed)
    grey = rng.normal(110, 12, (height, width))
    masks = []
    for _ in range(2):
        mask = np.zeros((height, width), bool)
        top, left = rng.integers(4, height // 2), rng.integers(4, width // 2 - 6)
        mask[top : top + rng.integers(12, 30), left : left + rng.integers(14, 24)] = True
        grey[mask] += strength
        masks.append(mask)
    return np.stack([grey.clip(0, 255).astype(np.uint8)] * 3, axis=-1), masks


def dataset(folder: Path, change: Callable[[int, Pixels], Pixels], strength: float = 60, side: int = 96) -> Dataset:
    """Twelve images, each changed without its masks."""
    rows = []
    for number in range(12):
        pixels, masks = drawn(number, strength, side)
        Image.fromarray(np.ascontiguousarray(change(number, pixels))).save(folder / f"{number}.png")
        for k, mask in enumerate(masks):
            name = f"{number}.png"
            rows.append(make_sample(f"{number}-{k}", f"{number}", name, "test", f"the block {k}", "block", mask))
    manifest = Manifest(
        name="blocks", source="drawn", licence="CC0", citation="none", counts={"test": {"samples": 24, "images": 12}},
        samples_sha256="0", images_sha256="0",
    )  # fmt: skip
    return Dataset(folder, manifest, pd.DataFrame(rows), folder)


def found(data: Dataset) -> Finding:
    return audit(data, workers=1).finding("masks beside their objects")


def test_masks_in_their_places_are_no_finding_however_weak_their_objects(tmp_path: Path) -> None:
    for strength in (60, 10, 0):
        assert found(dataset(tmp_path, lambda number, pixels: pixels, strength)).count == 0


@pytest.mark.parametrize("way", range(2, 9))
def test_an_image_that_was_turned_without_its_masks_is_found_alone(tmp_path: Path, way: int) -> None:
    finding = found(dataset(tmp_path, lambda number, pixels: turn(pixels, way) if number == 3 else pixels))
    assert [example.images for example in finding.examples] == [("3.png",)]
    assert finding.examples[0].sample_ids == ("3-0",)
    assert "contrast along the masks' contours" in finding.examples[0].detail


def test_a_turn_that_all_images_share_is_found_where_each_alone_says_little(tmp_path: Path) -> None:
    finding = found(dataset(tmp_path, lambda number, pixels: turn(pixels, 3), strength=25))
    assert finding.count >= 8
    assert "turned by 180°" in finding.examples[0].detail


def test_of_images_that_are_not_square_halves_and_mirrors_are_looked_at(tmp_path: Path) -> None:
    finding = found(dataset(tmp_path, lambda number, pixels: turn(pixels, 4) if number == 5 else pixels, side=72))
    assert [example.images for example in finding.examples] == [("5.png",)]


def test_of_many_images_the_same_few_are_looked_at() -> None:
    names = [f"{number}.png" for number in range(3_000)]
    assert len(chosen(names)) == 1_000
    assert set(chosen(names)) == set(chosen(names[::-1]))
