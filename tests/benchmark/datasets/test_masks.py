"""Anyone's colour-coded masks; the rules of regions and patches are tested in test_dubai.py, on one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark.datasets.masks import MasksConfig, build
from benchmark.samples import SampleError, decode_mask, load_dataset
from tests.layouts import COLOURS, write_masks

ABOUT: dict[str, Any] = {"licence": "CC0-1.0", "citation": "nobody, never", "classes": COLOURS, "min_area": 0.003}


def config(root: Path, **changes: Any) -> MasksConfig:
    return MasksConfig.model_validate({"root": str(root), "patch": 64, **ABOUT, **changes})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake") / "land"
    write_masks(root, 2)
    return root


def test_a_folder_of_masks_becomes_a_dataset_under_its_own_name(fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "land", config(fake))
    dataset = load_dataset(tmp_path / "land")
    assert dataset.manifest.name == "land"
    assert dataset.manifest.citation == "nobody, never"
    assert set(dataset.samples["category"]) <= set(COLOURS)
    assert set(dataset.samples["height"]) == {64}


def test_without_patches_images_stay_where_they_are(fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "land", config(fake, patch=None))
    dataset = load_dataset(tmp_path / "land", fake)
    assert {path.name for path in dataset.folder.iterdir()} == {"samples.parquet", "manifest.json"}
    for row in dataset.split("val").to_dict("records"):
        colours = np.asarray(Image.open(fake / row["image"].replace("images", "masks")).convert("RGB"))
        inside = colours[decode_mask(row["mask"], row["height"], row["width"])]
        wanted = COLOURS[row["category"]]
        assert (inside == [int(wanted[k : k + 2], 16) for k in (1, 3, 5)]).all()


def test_names_with_spaces_and_umlauts_are_made_plain(tmp_path: Path) -> None:
    write_masks(tmp_path / "land", 2)
    for kind in ("images", "masks"):
        (tmp_path / "land/train" / kind / "scene 0.png").rename(tmp_path / "land/train" / kind / "Straße (1).png")
    build(tmp_path / "data", config(tmp_path / "land"))
    names = set(load_dataset(tmp_path / "data").split("train")["image_id"].str.rsplit("-", n=2).str[0])
    assert names == {"train-Straße_1_", "train-scene_1"}


def test_two_images_of_one_plain_name_are_refused(tmp_path: Path) -> None:
    write_masks(tmp_path / "land", 2)
    for kind in ("images", "masks"):
        (tmp_path / "land/train" / kind / "scene 1.png").rename(tmp_path / "land/train" / kind / "scene_0.png")
    with pytest.raises(
        SampleError, match=r"scene_0.png and .*scene 0.png would both be called train-scene_0; rename one"
    ):
        build(tmp_path / "data", config(tmp_path / "land"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"ship": "0B6E4F"}}, "write a colour as"),
        (
            {"classes": {"ship": "#0B6E4F", "boat": "#0b6e4f"}},
            "class 'ship' has a colour #0B6E4F that another class has",
        ),
        ({"classes": {}}, "classes"),
        ({"classes": {"ship": 1 << 24}}, "classes"),
        ({"val": ["train"]}, "'train'] are in more than one split"),
        ({"citation": None}, "citation"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(Path("nowhere"), **changes)


def test_colours_that_no_class_has_are_named_when_nothing_is_left(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no samples for split train, val, test of dataset 'land'"):
        build(tmp_path / "land", config(fake, classes={"ship": "#123456"}))
