"""Categories that are likely slips or include one another, and images that were turned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.audit.audit import audit
from benchmark.audit.label_rules import includes
from benchmark.data.samples import Dataset, Manifest, make_sample


def dataset(folder: Path, *categories: str) -> Dataset:
    """An image for each category."""
    mask = np.zeros((40, 40), bool)
    mask[5:20, 5:20] = True
    rows = []
    for number, category in enumerate(categories):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number}.png")
        rows.append(make_sample(f"s{number}", f"{number}", f"{number}.png", "test", f"the {category}", category, mask))
    manifest = Manifest(
        name="few", source="drawn", licence="CC0", citation="none",
        counts={"test": {"samples": len(rows), "images": len(rows)}}, samples_sha256="0", images_sha256="0",
    )  # fmt: skip
    return Dataset(folder, manifest, pd.DataFrame(rows), folder)


def test_a_category_of_one_image_is_named(tmp_path: Path) -> None:
    finding = audit(dataset(tmp_path, "ship", "ship", "shpi")).finding("categories of one image")
    assert (finding.count, finding.checked) == (1, 2)
    assert finding.examples[0].sample_ids == ("s2",)
    assert "“shpi”" in finding.examples[0].detail


def test_categories_that_include_others_are_named_with_a_sample_of_each(tmp_path: Path) -> None:
    data = dataset(tmp_path, "tank", "storage tank", "vehicle", "bus", "road")
    finding = audit(data).finding("categories that include others")
    assert {example.sample_ids for example in finding.examples} == {("s0", "s1"), ("s2", "s3")}
    assert finding.count == 2


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("ships", "ship", True),
        ("court", "tennis court", True),
        ("vehicle", "small car", True),
        ("objects", "ship", True),
        ("ship", "ships", False),
        ("tennis court", "court", False),
        ("airport", "airplane", False),
        ("road", "railroad", False),
        ("harbor", "ship", False),
    ],
)
def test_what_includes_what_by_name(wide: str, narrow: str, expected: bool) -> None:
    assert includes(wide, narrow) == expected


def test_two_names_of_each_other_are_one_pair(tmp_path: Path) -> None:
    assert audit(dataset(tmp_path, "ship", "boat")).finding("categories that include others").count == 1


def test_turned_images_are_named_by_their_tag_or_by_what_the_manifest_says(tmp_path: Path) -> None:
    data = dataset(tmp_path, "ship", "ship", "ship")
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 40)).save(tmp_path / "0.png", exif=exif)
    manifest = data.manifest.model_copy(update={"turned": {"2.png": 3}})
    finding = audit(dataclasses.replace(data, manifest=manifest)).finding("turned images")
    assert (finding.count, finding.checked) == (2, 3)
    assert {example.images: example.detail for example in finding.examples} == {
        ("0.png",): "orientation tag 6: turned by 90° clockwise before use",
        ("2.png",): "orientation tag 3: turned by 180° before use",
    }
