"""Aerial-D: XML patches with objects, groups and three kinds of sentences; its published splits and ours."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.samples import decode_mask
from benchmark.datasets import aeriald
from tests.benchmark.datasets.conftest import SCENES, build, check_faults
from tests.pictures import pictures

NAME = "aeriald"


def test_every_sentence_has_the_mask_of_its_object_or_group(newer: dict[str, Path], tmp_path: Path) -> None:
    dataset = build(NAME, newer[NAME], tmp_path)
    groups = [rows for _, rows in dataset.samples.groupby("image_id")]
    assert len(groups) == 3 * SCENES
    for picture in pictures(SCENES):
        (rows,) = (one for one in groups if np.array_equal(dataset.pixels(one["image"].iloc[0]), picture.image))
        assert set(rows["split"]) == {picture.split}
        masks = {
            row["expression"]: decode_mask(row["mask"], row["height"], row["width"]) for row in rows.to_dict("records")
        }
        for e in picture.expressions:
            assert np.array_equal(masks[e.text], picture.regions[e.region].mask)
            assert np.array_equal(masks[f"{e.text}, say"], picture.regions[e.region].mask)
        union = np.any([region.mask for region in picture.regions], axis=0)
        assert np.array_equal(masks["all buildings in the image"], union)
        assert not rows["image"].str.contains("_5.png").any()


def test_several_sentences_share_a_mask_and_are_named_by_their_place(newer: dict[str, Path], tmp_path: Path) -> None:
    samples = build(NAME, newer[NAME], tmp_path).samples
    of_group = samples[samples["sample_id"].str.contains("-g1000000-")]
    assert of_group.groupby("image_id")["mask"].nunique().eq(1).all()
    assert of_group.groupby("image_id").size().eq(3).all()
    assert of_group["sample_id"].str.fullmatch(r".*_patch_\d+-g1000000-[012]").all()
    assert set(samples["category"]) >= {"building"}
    assert samples["category"].map(lambda name: name == name.lower() and "_" not in name).all()


def test_kinds_and_numbers_of_sentences_are_chosen(newer: dict[str, Path], tmp_path: Path) -> None:
    every = build(NAME, newer[NAME], tmp_path / "a").samples
    rules = build(NAME, newer[NAME], tmp_path / "b", expressions=["original"]).samples
    unique = build(NAME, newer[NAME], tmp_path / "c", expressions=["unique"]).samples
    one = build(NAME, newer[NAME], tmp_path / "d", per_target=1).samples
    assert unique["expression"].str.startswith("just ").all()
    assert not rules["expression"].str.contains(", say$|^just ").any()
    assert len(every) == 2 * len(rules) + len(unique)
    assert set(rules["sample_id"]) | set(unique["sample_id"]) < set(every["sample_id"])
    assert len(one) == len(unique)


def test_val_is_the_test_split_and_a_scene_is_never_parted() -> None:
    assert aeriald.split_of("val", "P0003_patch_000001") == "test"
    scenes = [f"P{number:04d}" for number in range(1000)]
    splits = {scene: {aeriald.split_of("train", f"{scene}_patch_{k:06d}") for k in range(5)} for scene in scenes}
    assert all(len(found) == 1 for found in splits.values())
    assert 80 < sum(found == {"val"} for found in splits.values()) < 125


def edit(root: Path, pattern: str, replacement: str, file: str = "train") -> None:
    path = sorted((root / file / "annotations").glob("*.xml"))[0]
    text, count = re.subn(pattern, lambda _: replacement, path.read_text(encoding="utf-8"), count=1, flags=re.DOTALL)
    assert count == 1
    path.write_text(text, encoding="utf-8")


def test_what_is_wrong_is_named(newer: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests) -> None:
    code = r"<segmentation>.*?</segmentation>"

    def segmentation(text: str) -> str:
        return f"<segmentation>{text}</segmentation>"

    bad = {
        "a code that is a program": (
            NAME,
            lambda root: [edit(root, code, segmentation("__import__('os').system('touch /tmp/run')")) for _ in "1"],
            r".*xml: object \d+: segmentation is \"?.*__import__.*, no run-length code",
        ),
        "a code that is something else": (
            NAME,
            lambda root: edit(root, code, segmentation("[[1, 2, 3]]")),
            r"segmentation is '\[\[1, 2, 3\]\]', no run-length code",
        ),
        "a code that does not fill its size": (
            NAME,
            lambda root: edit(root, r"'size': \[96, 96\]", "'size': [95, 96]"),
            r"xml: \d+: its runs cover 9216 of 9120 pixels",
        ),
        "no code": (NAME, lambda root: edit(root, code, ""), r"object \d+ has no <segmentation>"),
        "no id": (NAME, lambda root: edit(root, "<id>.*?</id>", ""), r"xml: object has no <id>"),
        "an id of words": (NAME, lambda root: edit(root, "<id>.*?</id>", "<id>one</id>"), r"object: id is 'one'"),
        "a file name that leaves the folder": (
            NAME,
            lambda root: edit(root, "<filename>.*?</filename>", "<filename>../../x.png</filename>"),
            r"filename is '../../x.png'; it names an image in the folder beside",
        ),
        "half a file": (
            NAME,
            lambda root: edit(root, "</object>.*", "</obj"),
            r"xml is no XML \(.*\); it is truncated",
        ),
        "a patch without its image": (
            NAME,
            lambda root: [path.unlink() for path in (root / "val/images").glob("*_0.png")],
            r"3 images of .* val/images|3 images of",
        ),
        "no annotations": (
            NAME,
            lambda root: (root / "val/annotations").rename(root / "elsewhere"),
            "val/annotations does not exist; fetch the dataset again",
        ),
    }
    check_faults(bad, newer, tmp_path, subtests)
