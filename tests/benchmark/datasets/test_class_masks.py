"""Anyone's colour-coded masks; the rules of regions and patches are tested in test_dubai.py, on one configuration."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark.data.samples import SampleError, decode_mask, load_dataset
from benchmark.datasets.class_masks import MasksConfig, build
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


def test_of_two_files_of_one_name_neither_is_taken(fake: Path, tmp_path: Path) -> None:
    for kind, second in (("images", "scene 0.JPG"), ("masks", "scene 0.PNG")):
        root = shutil.copytree(fake, tmp_path / kind)
        shutil.copy(root / "val" / kind / "scene 0.png", root / "val" / kind / second)
        with pytest.raises(
            SampleError, match=rf"{second} and .*/{kind}/scene 0.png are two files of one name, scene 0; keep one of"
        ):
            build(tmp_path / "data", config(root))


def test_suffixes_may_be_in_capitals(fake: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fake, tmp_path / "land")
    for kind in ("images", "masks"):
        (root / "val" / kind / "scene 0.png").rename(root / "val" / kind / "scene 0.PNG")
    build(tmp_path / "one", config(root))
    build(tmp_path / "other", config(fake))
    assert (tmp_path / "one/samples.parquet").read_bytes() == (tmp_path / "other/samples.parquet").read_bytes()


def test_all_files_that_cannot_be_read_are_named_at_once(fake: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fake, tmp_path / "land")
    (root / "train/images/scene 1.png").write_bytes(b"")
    (root / "test/masks/scene 0.png").write_bytes(b"GIF89a")
    with pytest.raises(
        SampleError,
        match=rf"2 files of {root} cannot be read; it needs .*:\n  image .*/train/images/scene 1.png .*\n"
        "  image .*/test/masks/scene 0.png .*fetch it again$",
    ):
        build(tmp_path / "data", config(root))
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------ what is not there

FIELDS = {"crop": "#F2A541", "barn": "#5B2A86", "shed": "#0B6E4F"}


def write_fields(root: Path, *blocks: tuple[str, int, int, int]) -> Path:
    """One image a split with squares on black: colour, x, y, side."""
    colours = np.zeros((64, 64, 3), np.uint8)
    for colour, x, y, side in blocks:
        colours[y : y + side, x : x + side] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
            Image.fromarray(colours).save(root / split / kind / "a.png")
    return root


def missed(root: Path, folder: Path, **changes: Any) -> set[str]:
    """What is said of nothing in any split."""
    build(folder, config(root, classes=FIELDS, background=["#000000"], per_image=None, absent=40, **changes))
    samples = load_dataset(folder).samples
    return set(samples.loc[samples["mask_area"] == 0, "expression"])


BARN = {"the barn", "the barn in the image", "the barns", "all barns", "all the barns"}
CROP = ("#F2A541", 8, 8, 20)


def test_a_speck_of_a_class_is_there_all_the_same(tmp_path: Path) -> None:
    without = missed(write_fields(tmp_path / "a", CROP), tmp_path / "without")
    assert without & BARN
    speck = missed(write_fields(tmp_path / "b", CROP, (FIELDS["barn"], 50, 50, 1)), tmp_path / "speck", speck=0.001)
    assert not speck & BARN
    assert any("shed" in text for text in speck)
    there = re.compile(r"barns?.* (bottom|lower) right|barns? (that (is|are) )?(at the bottom|on the right)")
    assert not [text for text in speck if there.search(text)]


def test_nothing_is_said_to_be_absent_beside_a_colour_that_is_not_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_fields(tmp_path / "a", CROP, ("#5B2A87", 40, 40, 10))  # a barn, one off
    assert not missed(root, tmp_path / "off")
    assert "off: 300 pixels of 3 images have colours that are not listed: #5B2A87 (300). They belong to" in caplog.text
    assert "off: no mask has a pixel of barn #5B2A86, shed #0B6E4F" in caplog.text


def test_a_background_has_to_be_listed_for_something_to_be_absent_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_fields(tmp_path / "a", CROP)
    assert missed(root, tmp_path / "listed") & BARN
    assert "not listed" not in caplog.text
    build(tmp_path / "not", config(root, classes=FIELDS, absent=40))
    assert (load_dataset(tmp_path / "not").samples["mask_area"] > 0).all()
    assert "#000000 (11,088)" in caplog.text


def test_settings_that_make_no_sense_are_refused(subtests: pytest.Subtests) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"background": ["#0B6E4F"]}, "class 'ship' has a colour #0B6E4F that is background too"),
        ({"classes": {f"c{k}": k for k in range(255)}}, "classes"),
        ({"classes": {"ship": "0B6E4F"}}, "write a colour as"),
        (
            {"classes": {"ship": "#0B6E4F", "boat": "#0b6e4f"}},
            "class 'ship' has a colour #0B6E4F that another class has",
        ),
        ({"classes": {}}, "classes"),
        ({"classes": {"ship": 1 << 24}}, "classes"),
        ({"val": ["train"]}, "'train'] are in more than one split"),
        ({"citation": None}, "citation"),
    ]
    for changes, message in faults:
        with subtests.test(f"{changes}"[:80]), pytest.raises(ValidationError, match=message):
            config(Path("nowhere"), **changes)


def test_colours_that_no_class_has_are_named_when_nothing_is_left(
    fake: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SampleError, match="no samples for split train, val, test of dataset 'land'"):
        build(tmp_path / "land", config(fake, classes={"ship": "#123456"}))
    assert "have colours that are not listed: #000000 (" in caplog.text
    assert "land: no mask has a pixel of ship #123456" in caplog.text
