"""NWPU-Refer: sentences of one object, of several and of none, in two languages."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.samples import decode_mask
from benchmark.datasets import nwpurefer
from tests.benchmark.datasets.conftest import SCENES, build, check_faults
from tests.benchmark.datasets.test_rrsisd import edit_refs_at
from tests.newer_layouts import ALL_OF_IT, boxed
from tests.pictures import pictures

NAME = "nwpurefer"


def test_sentences_of_one_of_several_and_of_nothing_have_their_masks(newer: dict[str, Path], tmp_path: Path) -> None:
    dataset = build(NAME, newer[NAME], tmp_path)
    assert dataset.manifest.no_target
    groups = dataset.samples.groupby("image_id", sort=False)
    assert len(groups) == 3 * SCENES
    for picture, (_, rows) in zip(pictures(SCENES), groups, strict=True):
        said = {row["expression"]: row for row in rows.to_dict("records")}
        expected = {e.text: boxed(picture.regions[e.region]) for e in picture.expressions}
        expected[ALL_OF_IT] = np.any([boxed(region) for region in picture.regions], axis=0)
        expected["the volcano at the top"] = np.zeros(picture.image.shape[:2], bool)
        assert set(said) == set(expected)
        for text, mask in expected.items():
            assert (decode_mask(said[text]["mask"], *mask.shape) == mask).all()
        assert said["the volcano at the top"]["category"] is None
        kinds = {region.category for region in picture.regions}
        assert said[ALL_OF_IT]["category"] == (kinds.pop() if len(kinds) == 1 else None)
        for e in picture.expressions:
            assert said[e.text]["category"] == picture.regions[e.region].category


def test_the_language_is_chosen_and_what_lacks_it_is_counted(
    newer: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    english, chinese, both = (
        build(NAME, newer[NAME], tmp_path / language, language=language).samples
        for language in ("english", "chinese", "all")
    )
    assert chinese["expression"].str.contains("图像中的|所有物体|没有的东西").all()
    assert not english["expression"].str.contains("图像中的|所有物体|没有的东西").any()
    assert len(both) == len(english) + len(chinese)
    assert both["sample_id"].is_unique
    root = shutil.copytree(newer[NAME], tmp_path / "root")
    edit_refs_at(root / "new_refs(unc).p", lambda refs: [ref["sentences"].pop(1) for ref in refs[:2]] and None)
    with caplog.at_level(logging.INFO, logger="benchmark.datasets"):
        nwpurefer.entries(nwpurefer.NWPUReferConfig(root=str(root)))
    assert "nwpurefer: 2 of" in caplog.text
    assert "refs have no sentence in english: no sample" in caplog.text


def test_the_files_may_have_their_older_names_and_images_lie_flat(newer: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(newer[NAME], tmp_path / "root")
    for name in ("refs(unc).p", "instances.json"):
        (root / f"new_{name}").rename(root / name)
    for path in (root / "image" / "image").iterdir():
        path.rename(root / "image" / path.name)
    (root / "image" / "image").rmdir()
    assert build(NAME, root, tmp_path / "a").manifest.samples_sha256 != ""
    config = nwpurefer.NWPUReferConfig(root=str(root))
    assert [file.name for file in config.needed(nwpurefer.SPEC).files] == ["image.zip"]


def test_minus_one_as_an_annotation_and_a_list_of_annotations_are_read(newer: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(newer[NAME], tmp_path / "root")

    def change(refs: list[dict[str, object]]) -> None:
        nothing = next(ref for ref in refs if ref["sentences"][1]["sent"] == "the volcano at the top")  # type: ignore[index]
        nothing.update(ann_id=[-1], category_id=None)
        refs[0].update(ann_id=[1, 2])

    edit_refs_at(root / "new_refs(unc).p", change)
    edit = root / "new_instances.json"
    content = json.loads(edit.read_text())
    content["annotations"][1].update(category_id=content["annotations"][0]["category_id"])
    edit.write_text(json.dumps(content))
    edit_refs_at(
        root / "new_refs(unc).p",
        lambda refs: refs[1].update(category_id=content["annotations"][0]["category_id"]),
    )
    before = build(NAME, newer[NAME], tmp_path / "a").samples.set_index("sample_id")
    after = build(NAME, root, tmp_path / "b").samples.set_index("sample_id")
    assert after.index.tolist() == before.index.tolist()
    assert (after["mask_area"] == 0).tolist() == (before["mask_area"] == 0).tolist()
    assert after.loc["1", "mask_area"] >= before.loc["1", "mask_area"]


def test_what_is_wrong_is_named(newer: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests) -> None:
    def edit(root: Path, category: str, segmentation: object) -> None:
        path = root / "new_instances.json"
        content = json.loads(path.read_text())
        numbers = [c["id"] for c in content["categories"] if (c["name"] == "no target") == (category == "no target")]
        next(a for a in content["annotations"] if a["category_id"] in numbers).update(segmentation=segmentation)
        path.write_text(json.dumps(content))

    bad = {
        "a mask of what is not there": (
            NAME,
            lambda root: edit(root, "no target", [[1, 1, 9, 1, 9, 9]]),
            r"1 samples have no target by their annotation, and masks that are not empty: \d+\. .*nwpurefer.exclude",
        ),
        "no mask of what is there": (
            NAME,
            lambda root: edit(root, "any", []),
            r"1 samples have empty masks: 1\. .*datasets.nwpurefer.exclude: \{1: empty mask\}",
        ),
        "no images": (
            NAME,
            lambda root: shutil.rmtree(root / "image"),
            r"image/image/.* does not exist \(9 are missing",
        ),
    }
    check_faults(bad, newer, tmp_path, subtests)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="Input should be 'english', 'chinese' or 'all'"):
        nwpurefer.NWPUReferConfig.model_validate({"language": "latin"})


def test_it_is_said_what_nobody_confirmed() -> None:
    assert nwpurefer.SPEC.counts is None
    assert any("numbers of samples per split" in fact for fact in nwpurefer.SPEC.unconfirmed)
