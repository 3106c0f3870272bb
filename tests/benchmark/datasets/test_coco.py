"""COCO instance files: crowds, tiles, and what goes wrong; what a segmentation may be is in test_instances.py."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from benchmark.audit.audit import audit
from benchmark.data.images import read_image
from benchmark.data.samples import SampleError, decode_mask, load_dataset
from benchmark.datasets.assemble import ORIGINS
from benchmark.datasets.coco import CocoConfig, build
from benchmark.datasets.coco_rules import words
from benchmark.datasets.instances import Annotation, instance_mask
from benchmark.datasets.patches import scale_mask
from tests.benchmark.datasets.conftest import block
from tests.layouts import write_coco
from tests.pictures import segmentation_of

ABOUT: dict[str, Any] = {"licence": "CC0-1.0", "citation": "nobody, never", "min_area": 0.002}


def config(root: Path, **changes: Any) -> CocoConfig:
    return CocoConfig.model_validate({"root": str(root), "patch": None, **ABOUT, **changes})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake") / "coco"
    write_coco(root, scenes=3)
    return root


def test_categories_are_read_as_words() -> None:
    assert words("Storage_Tank") == words(" storage-tank ") == "storage tank"


def test_whole_images_stay_where_they_are_and_masks_are_the_instances(fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "harbour", config(fake))
    dataset = load_dataset(tmp_path / "harbour", fake)
    assert dataset.manifest.name == "harbour"
    assert {path.name for path in dataset.folder.iterdir()} == {"samples.parquet", "manifest.json"}
    for split in ("train", "val", "test"):
        file = json.loads((fake / "annotations" / f"instances_{split}.json").read_text())
        images = {image["id"]: image["file_name"] for image in file["images"]}
        names = {category["id"]: category["name"].replace("_", " ") for category in file["categories"]}
        known = {}
        for entry in file["annotations"]:
            if not entry["iscrowd"]:
                mask = instance_mask(Annotation.model_validate(entry), 96, 96, fake)
                known[f"images/{images[entry['image_id']]}", mask.tobytes()] = names[entry["category_id"]]
        for row in dataset.split(split).to_dict("records"):
            mask = decode_mask(row["mask"], row["height"], row["width"])
            assert known[row["image"], mask.tobytes()] == row["category"]


def make(root: Path, annotations: list[dict[str, Any]], side: int = 64) -> Path:
    """One image a split with the same annotations of two categories."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    for split in ("train", "val", "test"):
        pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{split}.png")
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png", "height": side, "width": side}],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "storage_tank"}],
            "annotations": [{"id": k, "image_id": 1, "iscrowd": 0, **entry} for k, entry in enumerate(annotations)],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def box(x: int, y: int, category: int = 1, side: int = 12, **more: Any) -> dict[str, Any]:
    outline = [x, y, x + side, y, x + side, y + side, x, y + side]
    return {"category_id": category, "segmentation": [outline], **more}


def texts(root: Path, folder: Path, **changes: Any) -> list[str]:
    build(folder, config(root, **changes))
    return load_dataset(folder, root).split("train")["expression"].tolist()


def test_which_bands_were_taken_is_said_where_there_are_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2)])
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 5)).astype(np.uint8)
    for name in ("train", "val"):
        tifffile.imwrite(root / "images" / f"{name}.png", pixels, photometric="minisblack", planarconfig="contig")
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        manifest = build(tmp_path / "mine", config(root))
    said = "bands 1, 2, 3 of 5, by their place: the file names none"
    assert f"mine: of 2 images or patches are taken: {said}" in caplog.text
    assert manifest.bands == {said: ["images/train.png", "images/val.png"]}
    cut = build(tmp_path / "cut", config(root, patch=32, min_area=0.001))  # named as what they were cut from
    assert all(image.startswith(("images/train-", "images/val-")) for image in cut.bands[said])
    for origin in pd.read_csv(tmp_path / "cut" / ORIGINS).itertuples():
        assert f"{Path(origin.scene).stem}-y{origin.row:04d}-x{origin.column:04d}" == Path(origin.image).stem
        window = slice(origin.row, origin.row + origin.side), slice(origin.column, origin.column + origin.side)
        np.testing.assert_array_equal(
            read_image(root / origin.scene)[window], read_image(tmp_path / "cut" / origin.image)
        )
    finding = audit(load_dataset(tmp_path / "cut")).finding("images of some of their bands")
    assert finding.count == len(cut.bands[said]) > 0
    assert finding.examples[0].detail == f"read as {said}"


def test_beside_a_crowd_nothing_is_called_the_ship(tmp_path: Path) -> None:
    lone = texts(make(tmp_path / "a", [box(4, 4), box(40, 40, 2)]), tmp_path / "one")
    crowd = [
        box(4, 4),
        box(40, 40, 2),
        box(30, 4, iscrowd=1, segmentation=segmentation_of(block(30, 4, 60, 16, 64, 64), 1)),
    ]
    crowded = texts(make(tmp_path / "b", crowd), tmp_path / "two")
    plain = {"the ship", "the ship in the image"}
    assert plain & set(lone)
    assert not plain & set(crowded)
    assert crowded


def test_what_became_no_sample_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 40, 2, side=1), box(20, 40, iscrowd=1)], side=128)
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        build(tmp_path / "mine", config(root, patch=64))
    assert "mine: 9 of 12 images or patches have no sample and are left out" in caplog.text
    assert "mine: 3 of 9 instances are no sample of any patch, being too small, too large or slivers" in caplog.text
    assert "mine: 3 of 9 instances are crowds (iscrowd: 1) and have no sentence; if each is one object" in caplog.text
    assert "datasets.mine.crowds: instances" in caplog.text


def test_an_image_whose_name_is_too_long_for_a_patch_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4)], side=128)
    (root / "images" / ("a" * 200)).mkdir()
    (root / "images" / "train.png").rename(root / "images" / ("a" * 200) / ("b" * 60 + ".png"))
    edit("train", lambda c: c["images"][0].update(file_name="a" * 200 + "/" + "b" * 60 + ".png"))(root)
    with pytest.raises(
        SampleError, match=r"an image would be called a+\.\.\., longer than a file's name can be; rename"
    ):
        build(tmp_path / "mine", config(root, patch=64))


def test_large_images_are_cut_and_what_a_border_leaves_of_an_instance_is_no_sample(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(63, 70, 1, 20), box(100, 100, 2, 20)], side=128)
    build(tmp_path / "cut", config(root, patch=64))
    samples = load_dataset(tmp_path / "cut").split("train")
    assert set(samples["height"]) == set(samples["width"]) == {64}
    masks = {(row["image_id"], row["mask_area"]) for row in samples.to_dict("records")}
    assert masks == {("train-y0000-x0000", 144), ("train-y0064-x0064", 400), ("train-y0064-x0064", 380)}
    assert sorted(path.stem for path in (tmp_path / "cut" / "images").glob("train*")) == [
        "train-y0000-x0000", "train-y0064-x0064",
    ]  # fmt: skip


def test_windows_around_instances_are_scaled_and_what_they_cut_is_no_sample(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(20, 20, 1, 16), box(44, 30, 2, 8), box(110, 20, 1, 18)], side=128)
    changes: dict[str, Any] = {"patch": 64, "around": (64, 96), "resize": 32, "whole": True, "windows": 1}
    build(tmp_path / "around", config(root, **changes))
    samples = load_dataset(tmp_path / "around").split("train")
    assert samples["image_id"].nunique() == 1
    assert samples["image_id"][0].endswith("-s64")
    assert set(samples["height"]) == set(samples["width"]) == {32}
    assert set(samples["mask_area"]) == {64, 16}  # a quarter
    cut = [box(-4, 20, 1, 16), box(54, 80, 1, 20), box(90, 80, 2, 20)]
    grid = texts(make(tmp_path / "b", cut, side=128), tmp_path / "all", patch=64, resize=32)
    whole = texts(tmp_path / "b", tmp_path / "whole", patch=64, resize=32, whole=True)
    assert any("ship" in text for text in grid)
    assert len(whole) < len(grid)
    assert scale_mask(block(3, 3, 4, 4, 64, 64), 8).sum() == 1  # what is hardly there is there all the same


def test_groups_and_what_is_not_there_are_written_when_asked_for(tmp_path: Path) -> None:
    root = make(tmp_path / "a", [box(4, 4), box(40, 4)])
    edit("train", lambda c: c["annotations"][1].update(category_id=2))(root)  # what nobody annotated is never absent
    assert all(row["mask_area"] == 144 for row in rows(root, tmp_path / "usual"))
    asked = rows(root, tmp_path / "asked", multiple=2, absent=9)
    groups = [row for row in asked if row["mask_area"] == 288]
    missed = [row for row in asked if row["mask_area"] == 0]
    assert groups
    assert all("ships" in row["expression"] for row in groups)
    assert any(row["category"] == "storage tank" for row in missed)
    assert load_dataset(tmp_path / "asked", root).manifest.no_target
    assert not load_dataset(tmp_path / "usual", root).manifest.no_target


def rows(root: Path, folder: Path, **changes: Any) -> list[dict[str, Any]]:
    build(folder, config(root, **changes))
    return load_dataset(folder, root).split("test").to_dict("records")


def edit(split: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / "annotations" / f"instances_{split}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (
        lambda r: (r / "annotations/instances_val.json").unlink(),
        r"instances_val.json does not exist; set datasets.mine.root \(and annotations, now 'annotations/instances_",
    ),
    "no folder": (shutil.rmtree, r"coco/annotations/instances_train.json does not exist; set datasets.mine.root"),
    "not JSON": (lambda r: (r / "annotations/instances_val.json").write_bytes(b"\xff\xfe"), "val.json is not JSON"),
    "deep JSON": (lambda r: (r / "annotations/instances_val.json").write_text("[" * 200_000), "val.json is not JSON"),
    "a key twice": (
        lambda r: (r / "annotations/instances_val.json").write_text('{"images": [], "images": []}'),
        "val.json is not JSON .the key 'images' is there twice",
    ),
    "a list": (lambda r: (r / "annotations/instances_val.json").write_text("[]"), "has no list 'images'"),
    "no categories": (edit("val", lambda c: c.pop("categories")), "val.json has no list 'categories'"),
    "an annotation without image": (
        edit("val", lambda c: c["annotations"][1].update(image_id=99)),
        "val.json: annotation 2 is of image 99 and category",
    ),
    "an unknown category": (
        edit("val", lambda c: c["annotations"][1].update(category_id=99)),
        "val.json: annotation 2 is of image .* and category 99",
    ),
    "two of one id": (
        edit("val", lambda c: c["annotations"][1].update(id=1)),
        "annotations.1: id 1 is there twice",
    ),
    "a polygon of two points": (
        edit("val", lambda c: c["annotations"][0].update(segmentation=[[1, 1, 2, 2]])),
        r"annotations.0.segmentation.* \(id 1\) is",
    ),
    "a polygon of words": (
        edit("val", lambda c: c["annotations"][0].update(segmentation=[["a"] * 6])),
        r"annotations.0.segmentation.* \(id 1\)",
    ),
    "a polygon that ends nowhere": (
        edit("val", lambda c: c["annotations"][0].update(segmentation=[[float("nan")] * 6])),
        r"annotations.0.segmentation.* \(id 1\)",
    ),
    "an image of a size that is never read": (
        edit("val", lambda c: c["images"][0].update(height=10**6, width=10**6)),
        "val.json: image 1 says it is 1000000x1000000 .* more than the 89,478,485 pixels",
    ),
    "values within values": (
        edit("val", lambda c: c["annotations"][0].update(bbox=json.loads("[" * 300 + "]" * 300))),
        r"annotations.0.bbox.* \(id 1\) is \[\[\[\.\.\.\]\]\]: ",
    ),
    "a point as a mask": (
        edit("val", lambda c: c["annotations"][0].update(segmentation=[[150.0, 150.0] * 3])),
        "annotation 1 covers no pixel",
    ),
    "a name that leaves the folder": (
        edit("val", lambda c: c["images"][0].update(file_name="../../secret.png")),
        r"image 1: file_name '../../secret.png' leaves the folder of images",
    ),
    "a missing image": (
        lambda r: (r / "images/val_0.png").unlink(),
        r"val.json: image 1: image .*/images/val_0.png does not exist; lay it there or set datasets.mine.root and "
        r"images \(now 'images'\)$",
    ),
    "all images missing or truncated": (
        lambda r: [path.unlink() if "test" in path.name else path.write_bytes(b"") for path in r.glob("images/*")],
        r"(?s)9 images of .*coco cannot be read, or have another size; see datasets.mine in params.yaml:\n"
        r"  .*train.json: image 1: .*fetch it again\n  .*test.json: image 3: .*does not exist; lay it there",
    ),
    "another size": (
        edit("val", lambda c: c["images"][0].update(height=95)),
        r"image 1: said to be 95x96 \(height x width\), .*images/val_0.png is 96x96",
    ),
    "nothing annotated": (
        edit("val", lambda c: c.update(annotations=[])),
        "no samples for split val of dataset 'mine'",
    ),
}


def test_what_is_wrong_is_named_and_nothing_is_written(fake: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (case, (spoil, message)) in enumerate(BAD.items()):
        with subtests.test(case):
            root = shutil.copytree(fake, tmp_path / f"{number}" / "coco")
            spoil(root)
            data = tmp_path / f"{number}" / "data"
            data.mkdir()
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                build(data / "mine", config(root))
            assert not list(data.iterdir())


def test_settings_that_make_no_sense_are_refused(subtests: pytest.Subtests) -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        *({"patch": 16}, {"colour": 1}, {"licence": None}, {"absent": -1}),
        *({"resize": 64}, {"around": (64, 96), "patch": 64}),
        *({"annotations": "{splt}.json"}, {"annotations": "{split"}, {"images": "{}_{split}"}, {"images": "../x"}),
    )
    for wrong in wrongs:
        with subtests.test(f"{wrong}"), pytest.raises(ValidationError, match=next(iter(wrong))):
            config(Path("nowhere"), **wrong)
