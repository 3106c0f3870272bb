"""RRSIS-D: what is odd about its files, and what goes wrong with them."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.data.rle import mask_bbox
from benchmark.data.samples import Dataset, SampleError, decode_mask
from benchmark.datasets import rrsisd
from benchmark.datasets.instances import Annotation, instance_mask
from tests.benchmark.datasets.conftest import build, check_faults, cut

SHARED = Path(__file__).parents[4] / "shared" / "data" / "annotations"


def test_rrsisd_counts_its_categories_from_zero(built: dict[str, Dataset], fakes: dict[str, Path]) -> None:
    assert rrsisd.CATEGORIES[18] == "vehicle"
    annotations = json.loads((fakes["rrsisd"] / rrsisd.LAYOUT.instances).read_text())["annotations"]
    found = built["rrsisd"].samples.set_index("sample_id")["category"]
    assert all("category_id" not in annotation for annotation in annotations)
    assert {str(a["id"]): rrsisd.CATEGORIES[a["categories_id"]] for a in annotations} == found.to_dict()


def test_rrsisd_boxes_are_corners_and_its_areas_are_none(built: dict[str, Dataset], fakes: dict[str, Path]) -> None:
    boxes = rrsisd.published_boxes(rrsisd.RRSISDConfig(root=str(fakes["rrsisd"])))
    for row in built["rrsisd"].samples.to_dict("records"):
        assert boxes[row["sample_id"]] == tuple(row["bbox_xyxy"])
        assert row["mask_area"] < 100_000
        assert row["mask_area"] == decode_mask(row["mask"], row["height"], row["width"]).sum()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real annotation lines are not at {SHARED}")
def test_a_real_mask_of_rrsisd_has_its_own_area() -> None:
    ref = json.loads((SHARED / "rrsisd_val.sample.json").read_text())
    fields = {"id": ref["ann_id"], "image_id": ref["image_id"], "categories_id": ref["category_id"]}
    annotation = Annotation.model_validate({**fields, "segmentation": ref["segmentation"], "bbox": ref["bbox"]})
    mask = instance_mask(annotation, 800, 800, SHARED)
    assert (mask.sum(), ref["area"]) == (544, 102243)
    assert rrsisd.CATEGORIES[annotation.category_id] == ref["category_name"]
    assert annotation.box is not None
    x1, y1, x2, y2 = annotation.box
    assert x1 + x2 > 800  # as COCO's x, y, width, height it would leave the image
    left, top, right, bottom = mask_bbox(mask)  # stray pixels reach further than the box, by up to ten
    assert left <= x1 < x2 <= right
    assert top <= y1 < y2 <= bottom


def test_an_excluded_sample_is_left_out_and_an_unknown_one_refused(fakes: dict[str, Path], tmp_path: Path) -> None:
    all_of_it = build("rrsisd", fakes["rrsisd"], tmp_path / "a").samples
    rest = build("rrsisd", fakes["rrsisd"], tmp_path / "b", exclude={1: "wrong mask"}).samples
    assert set(all_of_it["sample_id"]) - set(rest["sample_id"]) == {"1"}
    with pytest.raises(SampleError, match=r"datasets\.rrsisd\.exclude names \['999'\]"):
        build("rrsisd", fakes["rrsisd"], tmp_path / "c", exclude={999: "no such sample"})


def listed(names: Sequence[str], first: int = 0) -> list[dict[str, Any]]:
    return [{"id": k, "name": name, "supercategory": "object"} for k, name in enumerate(names, first)]


def test_a_list_of_categories_in_another_order_is_used_and_the_published_one_changes_nothing(
    fakes: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, built: dict[str, Dataset]
) -> None:
    before = built["rrsisd"].samples
    roots = [shutil.copytree(fakes["rrsisd"], tmp_path / name / "rrsisd") for name in ("a", "b", "c", "d")]
    spelt = [name.lower().replace("-", " ") for name in rrsisd.CATEGORIES]
    for root, names in zip(roots, (rrsisd.CATEGORIES, spelt, [*rrsisd.CATEGORIES, "solar panel"]), strict=False):
        edit_instances(root, lambda c, names=names: c.update(categories=listed(names)))
        pd.testing.assert_frame_equal(build("rrsisd", root, root / "data").samples, before)
    assert not caplog.records
    order = list(reversed(spelt))
    edit_instances(roots[-1], lambda c: c.update(categories=listed(order)))
    found = build("rrsisd", roots[-1], roots[-1] / "data").samples
    assert "calls category 0 'windmill', published it is 'Expressway-Service-area'" in caplog.text
    turned = dict(zip(rrsisd.CATEGORIES, reversed(rrsisd.CATEGORIES), strict=True))
    assert found["category"].tolist() == before["category"].map(turned).tolist()


def edit_refs_at(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    refs = pickle.loads(path.read_bytes())
    changed = change(refs)
    path.write_bytes(pickle.dumps(refs if changed is None else changed))


def edit_refs(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    edit_refs_at(root / rrsisd.LAYOUT.refs, change)


def edit_instances(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / rrsisd.LAYOUT.instances
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a name of 300 letters in refs": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(file_name="a" * 300)),
        r"refs\(unc\)\.p: 0.file_name is a+: String should have at most 200 characters",
    ),
    "two truncated images": (
        "rrsisd",
        lambda r: [cut(r / rrsisd.LAYOUT.images / f"0000{number}.jpg") for number in (1, 3)],
        r"2 images of .*rrsisd cannot be read or have another size; fetch or build the dataset again:\n  "
        r".*/data/rrsisd/samples.parquet: "
        r"row 0 \(sample_id '1'\): image .*/00001.jpg .*\n  .*row 2 .*/00003.jpg .*fetch it again$",
    ),
    "refs of another kind": ("rrsisd", lambda r: edit_refs(r, lambda refs: {"a": 1}), r"refs\(unc\)\.p: all of it is"),
    "a ref without its split": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[2].pop("split") and None),
        r"refs\(unc\)\.p: 2.split is .*required",
    ),
    "an unknown split": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(split="valid")),
        r"0.split is valid: Input should be 'train', 'val' or 'test'",
    ),
    "a ref without sentences": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(sentences=[])),
        r"0.sentences is \[\]",
    ),
    "a file name that leaves the folder": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(file_name="../../../etc/passwd")),
        "0.file_name is ../../../etc/passwd",
    ),
    "an unknown annotation": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(ann_id=77)),
        "ref 1: rrsisd/instances.json has no annotation 77",
    ),
    "two categories": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["annotations"][0].update(categories_id=3)),
        r"ref 1: category_id is \d+, in rrsisd/instances.json 3",
    ),
    "two sentences of one id": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[1]["sentences"][0].update(sent_id=1)),
        "has the same sample_id",
    ),
    "not JSON": ("rrsisd", lambda r: cut(r / rrsisd.LAYOUT.instances), "instances.json is not JSON"),
    "no annotations": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c.pop("annotations")),
        "instances.json has no list 'annotations'",
    ),
    "a mask of another size than its image": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["images"][0].update(height=50)),
        r"annotation 1: its mask is 96x96 \(height x width\), its image 50x96",
    ),
    "a list of categories that counts from 1, where annotations count from 0": (
        "rrsisd",
        lambda r: (
            edit_refs(r, lambda refs: refs[0].update(category_id=0)),
            edit_instances(r, lambda c: c["annotations"][0].update(categories_id=0)),
            edit_instances(r, lambda c: c.update(categories=listed(rrsisd.CATEGORIES, 1))),
        ),
        r"instances.json calls category 1 'Expressway-Service-area', published it is 'Expressway-toll-station': its "
        "list 'categories' counts from 1, its annotations and what is published from 0; take the list out of the file",
    ),
    "a list without a category that is used": (
        "rrsisd",
        lambda r: (
            edit_refs(r, lambda refs: refs[0].update(category_id=0)),
            edit_instances(r, lambda c: c["annotations"][0].update(categories_id=0)),
            edit_instances(r, lambda c: c.update(categories=listed(rrsisd.CATEGORIES[:-1], 1))),
        ),
        "published it is 'Expressway-toll-station', and lists no 0: which are meant",
    ),
    "a list of other categories": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c.update(categories=listed(["background", *rrsisd.CATEGORIES]))),
        "calls category 0 'background', published it is 'Expressway-Service-area', and 'background' is none",
    ),
    "a broken code": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["annotations"][1]["segmentation"][0].update(counts="0")),
        "annotation 2: its runs cover 0 of 9216 pixels",
    ),
    "a missing picture": (
        "rrsisd",
        lambda r: (r / rrsisd.LAYOUT.images / "00001.jpg").unlink(),
        "JPEGImages/00001.jpg does not exist",
    ),
}


def test_what_is_wrong_is_named_and_nothing_is_written(
    fakes: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    check_faults(BAD, fakes, tmp_path, subtests)
