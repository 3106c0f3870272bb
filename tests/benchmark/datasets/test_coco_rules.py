"""What is easily lost in instance files is named or counted."""

from __future__ import annotations

import logging
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data.samples import SampleError, load_dataset
from benchmark.datasets.coco import build
from tests.benchmark.datasets.conftest import block
from tests.benchmark.datasets.test_coco import box, config, edit, make, rows, texts
from tests.pictures import segmentation_of

CATEGORIES = [
    {"id": 0, "name": "objects", "supercategory": "none"},
    {"id": 1, "name": "ship", "supercategory": "objects"},
    {"id": 2, "name": "storage_tank", "supercategory": "objects"},
    {"id": 3, "name": "windmill", "supercategory": "objects"},
]


def crowd(x: int, y: int, category: int = 1) -> dict[str, Any]:
    """A brush mask as CVAT exports it."""
    return box(x, y, category, iscrowd=1, segmentation=segmentation_of(block(x, y, x + 12, y + 12, 64, 64), 1))


def test_where_all_are_crowds_it_is_said_what_that_means_and_what_to_set(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [crowd(4, 4), crowd(40, 40, 2)])
    message = (
        "instances_train.json, .*_test.json: all 6 instances of split train, val, test are crowds .* 6 of 6 in all "
        "splits.*crowds: instances"
    )
    with pytest.raises(SampleError, match=message):
        build(tmp_path / "mine", config(root))
    assert set(texts(root, tmp_path / "mine", crowds="instances")) == set(
        texts(make(tmp_path / "b", [box(4, 4), box(40, 40, 2)]), tmp_path / "other" / "mine")
    )


def test_boxes_without_a_mask_are_named_all_at_once_or_left_out_and_still_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lone = box(30, 4, bbox=[30, 4, 12, 12])
    other = box(30, 5, bbox=[30, 5, 12, 12], segmentation=None)
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2), lone | {"segmentation": []}, other])
    message = (
        r"6 of 12 annotations have no mask \(segmentation: \[\]\), .*_train.json: annotations 2, 3; .*_val.json: "
        r"annotations 2, 3; .*_test.json: annotations 2, 3; draw masks, or .* datasets.mine.boxes: leave_out"
    )
    with pytest.raises(SampleError, match=message):
        build(tmp_path / "mine", config(root))
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        found = texts(root, tmp_path / "mine", boxes="leave_out")
    assert "mine: 6 of 12 instances have a box and no mask and are left out" in caplog.text
    assert found
    assert not {"the ship", "the ship in the image"} & set(found)
    edit("val", lambda c: c["annotations"][2].pop("bbox"))(root)
    with pytest.raises(
        SampleError, match=r"1 of 12 annotations have neither a mask nor a box, .*_val.json: annotations 2;"
    ):
        build(tmp_path / "mine", config(root, boxes="leave_out"))


def test_an_object_that_is_annotated_twice_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drawn = [box(4, 4), box(40, 40), box(4, 40, 2)]
    once = texts(make(tmp_path / "a", drawn), tmp_path / "one" / "mine")
    assert once
    near = box(4, 4)
    near["segmentation"] = [[number + 1e-6 for number in polygon] for polygon in near["segmentation"]]
    for name, other in {"exact": box(4, 4), "a hair apart": near}.items():
        caplog.clear()
        with caplog.at_level(logging.INFO, "benchmark.datasets"):
            assert texts(make(tmp_path / name, [*drawn, other]), tmp_path / "two" / name / "mine") == once
        assert (
            "1 of 4 annotations have the same pixels as an earlier one of the same category (3 as 0); each is read once"
        ) in caplog.text
    texts(make(tmp_path / "beside", [*drawn, box(5, 4), box(40, 40, 2)]), tmp_path / "three" / "mine")
    assert "1 of 5 annotations have nearly the pixels of another of the same category (3 as 0); if they are" in (
        caplog.text
    )


def test_objects_without_a_sentence_and_categories_of_one_name_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alike = make(tmp_path / "a", [box(4, 4), box(40, 40), box(40, 41)])  # two that no place and no size tells apart
    edit("val", lambda c: c["categories"].append({"id": 9, "name": "Storage-Tank"}))(alike)
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        build(tmp_path / "mine", config(alike))
    assert "of 9 objects in images or patches have no sentence: none is true of them alone" in caplog.text
    assert "val.json: categories 2 'storage_tank', 9 'Storage-Tank' are all read as 'storage tank'" in caplog.text


def test_what_an_image_does_not_show_is_no_object_of_it(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2), box(28, 40)])
    for path in (root / "images").iterdir():
        shown = np.zeros((64, 64), np.uint8)
        shown[:, 30:] = 255
        image = Image.open(path).convert("RGB")
        image.putalpha(Image.fromarray(shown))
        image.save(path, "PNG")
    found = rows(root, tmp_path / "mine")
    assert {row["category"] for row in found} == {"ship", "storage tank"}
    assert min(row["bbox_xyxy"][0] for row in found) == 30
    assert all("left" not in row["expression"] or row["bbox_xyxy"][0] >= 30 for row in found)


def test_an_image_that_is_listed_twice_is_named_with_files_ids_and_splits(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    edit("train", lambda c: c["images"].append({**c["images"][0], "id": 77}))(root)
    with pytest.raises(
        SampleError,
        match=r"images/train.png is listed 2 times, as image 1 of split train \(.*_train.json\) and image 77 of split "
        r"train \(.*_train.json\); give the annotations of one to the other",
    ):
        build(tmp_path / "mine", config(root))
    leaking = make(tmp_path / "b", [box(4, 4), box(40, 40, 2)])
    for split in ("train", "val"):
        edit(split, lambda c: c["images"].append({**c["images"][0], "id": 500, "file_name": "test.png"}))(leaking)
    with pytest.raises(
        SampleError,
        match=r"images/test.png is listed 3 times, as image 500 of split train \(.*\) and image 500 of split val "
        r"\(.*\) and image 1 of split test \(.*_test.json\); an image is of one split",
    ):
        build(tmp_path / "mine", config(leaking))


def test_separators_of_windows_are_read_and_do_not_leave_the_folder(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    before = texts(root, tmp_path / "one" / "mine")
    (root / "images" / "port").mkdir()
    shutil.move(root / "images" / "train.png", root / "images" / "port" / "train.png")
    edit("train", lambda c: c["images"][0].update(file_name="port\\train.png"))(root)
    found = load_dataset(_built(tmp_path / "mine", root), root).split("train")
    assert set(found["image"]) == {"images/port/train.png"}
    assert len(found) == len(before)
    for name in ("..\\..\\secret.png", "C:\\data\\secret.png", "\\secret.png"):
        edit("train", lambda c, name=name: c["images"][0].update(file_name=name))(root)
        with pytest.raises(SampleError, match=r"image 1: file_name .* leaves the folder of images, by Windows'"):
            build(tmp_path / "mine", config(root))


@pytest.mark.parametrize(("here", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_read_as_linux_and_as_a_mac_write_them(tmp_path: Path, here: str, there: str) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    (root / "images" / "train.png").rename(root / "images" / unicodedata.normalize(here, "Häfen é.png"))
    edit("train", lambda c: c["images"][0].update(file_name=unicodedata.normalize(there, "Häfen é.png")))(root)
    assert len(load_dataset(_built(tmp_path / "mine", root), root).split("train"))


def test_a_name_that_is_an_address_or_differs_in_capitals_is_told_so(tmp_path: Path, subtests: pytest.Subtests) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    (root / "images" / "train.png").rename(root / "images" / "IMG 1.JPG")
    for name, fault in (
        ("https://example.org/images/IMG 1.JPG", "is an address; give it from that folder on"),
        ("/home/me/images/IMG 1.JPG", "leaves the folder of images; give it from that folder on"),
        ("img 1.jpg", r"img 1\.jpg does not exist \('IMG 1\.JPG' is there: is it that\? .*; lay it there or set"),
        ("IMG%201.JPG", r"IMG%201\.JPG does not exist \('IMG 1\.JPG' is there"),
        ("IMG 2.JPG", r"IMG 2\.JPG does not exist; lay it there"),
    ):
        edit("train", lambda c, name=name: c["images"][0].update(file_name=name))(root)
        with subtests.test(name), pytest.raises((SampleError, FileNotFoundError), match=fault):
            build(tmp_path / "mine", config(root))


def _built(folder: Path, root: Path, **changes: Any) -> Path:
    build(folder, config(root, **changes))
    return folder


POINTS: list[tuple[Any, str]] = [
    ([[4, 4], [16, 4], [16, 16], [4, 16]], "this is a list of points: a polygon is one flat list"),
    ([[[4, 4], [16, 4], [16, 16]]], "this is a list of points"),
    ([{"x": 4, "y": 4}, {"x": 16, "y": 4}, {"x": 16, "y": 16}], "this is a list of points"),
    ([[{"x": 4, "y": 4}, {"x": 16, "y": 4}, {"x": 16, "y": 16}]], "this is a list of points"),
    ([4, 4, 16, 4, 16, 16], "this is a flat list of numbers: .* a segmentation a list of polygons"),
]


def test_polygons_of_another_shape_are_told_the_shape(tmp_path: Path, subtests: pytest.Subtests) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    for segmentation, message in POINTS:
        edit("val", lambda c, shape=segmentation: c["annotations"][1].update(segmentation=shape))(root)
        with (
            subtests.test(message),
            pytest.raises(SampleError, match=rf"annotations.1.segmentation \(id 1\) .*{message}"),
        ):
            build(tmp_path / "mine", config(root))


def test_what_nobody_annotated_and_what_only_groups_is_never_said_to_be_absent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 4)])
    for split in ("train", "val", "test"):
        edit(split, lambda c: c.update(categories=CATEGORIES))(root)
    edit("train", lambda c: c["annotations"][1].update(category_id=2))(root)
    missed = {row["category"] for row in rows(root, tmp_path / "mine", absent=9) if not row["mask_area"]}
    assert "storage tank" in missed
    assert missed <= {"ship", "storage tank"}
    assert "mine: no annotation is of the category objects, windmill: it is never said to be absent" in caplog.text


def test_a_group_is_there_where_one_of_its_kinds_is(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4, 1), box(40, 4, 2)])
    categories = [{"id": 0, "name": "vessel"}, {"id": 1, "name": "ship", "supercategory": "vessel"}, CATEGORIES[2]]
    for split in ("train", "val", "test"):
        edit(split, lambda c: c.update(categories=categories))(root)
    edit("train", lambda c: c["annotations"][0].update(category_id=0))(root)  # once annotated as such
    missed = {row["category"] for row in rows(root, tmp_path / "mine", absent=9) if not row["mask_area"]}
    assert "vessel" not in missed


def test_an_image_of_another_size_than_the_file_says_is_told_of_its_orientation(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    exif = Image.Exif()
    exif[274] = 8
    Image.fromarray(np.zeros((64, 80, 3), np.uint8)).save(root / "images" / "val.png", exif=exif)
    edit("val", lambda c: c["images"][0].update(height=64, width=80))(root)
    with pytest.raises(
        SampleError, match=r"image 1: said to be 64x80 .*val.png is 80x64 \(turned by its orientation tag, 8"
    ):
        build(tmp_path / "mine", config(root))
