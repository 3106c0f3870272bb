"""RRSIS-HR: read like RRSIS-D, with categories from its file and several sentences an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.data.samples import SampleError, decode_mask
from benchmark.datasets import rrsishr
from tests.benchmark.datasets.conftest import SCENES, build, check_faults
from tests.benchmark.datasets.test_rrsisd import edit_refs_at
from tests.pictures import pictures

REFS, INSTANCES, _ = rrsishr.LAYOUT


def edit_instances(root: Path, change: object) -> None:
    path = root / INSTANCES
    content = json.loads(path.read_text())
    change(content)  # type: ignore[operator]
    path.write_text(json.dumps(content))


def test_every_sentence_has_its_mask_and_its_category(newer: dict[str, Path], tmp_path: Path) -> None:
    samples = build("rrsishr", newer["rrsishr"], tmp_path).samples
    drawn = [
        (picture.split, f"{e.text}, in a picture that was drawn", picture.regions[e.region])
        for picture in pictures(SCENES)
        for e in picture.expressions
    ]
    assert len(samples) == len(drawn) > 3 * SCENES
    assert samples["image_id"].nunique() == 3 * SCENES
    for row, (split, text, region) in zip(samples.to_dict("records"), drawn, strict=True):
        assert (row["split"], row["expression"], row["category"]) == (split, text, region.category)
        assert (decode_mask(row["mask"], row["height"], row["width"]) == region.mask).all()


def test_the_counts_are_those_of_public_code_and_said_to_be(newer: dict[str, Path], tmp_path: Path) -> None:
    assert any("counts" in fact for fact in rrsishr.SPEC.unconfirmed)
    with pytest.raises(SampleError, match=r"train has \d+, declared are 2,118.*rrsishr.allow_count_mismatch: true"):
        build("rrsishr", newer["rrsishr"], tmp_path, allow_count_mismatch=False)


def test_what_is_wrong_is_named(newer: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests) -> None:
    bad = {
        "a category that the file does not list": (
            "rrsishr",
            lambda root: edit_instances(root, lambda content: content["categories"].pop(0)),
            r"rrsishr/refs\(unc\).p: ref \d+: category 0 is none of 1, 2",
        ),
        "no categories": (
            "rrsishr",
            lambda root: edit_instances(root, lambda content: content.pop("categories")),
            "instances.json has no list 'categories'",
        ),
        "a ref of nothing": (
            "rrsishr",
            lambda root: edit_refs_at(root / REFS, lambda refs: refs[0].update(ann_id=-1)),
            "ref 1 has no annotation; exclude its sentences",
        ),
        "no refs": ("rrsishr", lambda root: (root / REFS).unlink(), r"refs\(unc\).p does not exist"),
    }
    check_faults(bad, newer, tmp_path, subtests)
