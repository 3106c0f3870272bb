"""The audit: every planted fault is found, a clean dataset has none, and workers change nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from benchmark.audit.audit import Audit, audit
from benchmark.audit.image_facts import ImageFacts, measure_images, near_copies
from benchmark.audit.mask_facts import HEAT, measure_masks
from benchmark.audit.positions import Position, contradiction, stated_position
from benchmark.audit.resized import contrast
from benchmark.data.samples import (
    Dataset,
    Manifest,
    SampleError,
    decode_mask,
    encode_mask,
    load_dataset,
    make_sample,
    mask_bbox,
    save_dataset,
)
from tests.conftest import make_fake_dataset
from tests.many import PLANTED, make_many

ANNOTATIONS = Path(__file__).parents[3] / "shared" / "data" / "annotations"
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Every fault that can be planted in files and table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.many.FIELDS", 3)  # enough for images that differ, and each takes its time to draw
        return make_many(tmp_path_factory.mktemp("many") / "many", samples=240, per_image=2)


@pytest.fixture(scope="module")
def found(many: Dataset) -> Audit:
    return audit(many, image_size=(512, 512), workers=5)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("clean")
    make_fake_dataset(folder)
    return load_dataset(folder)


def one_sample(folder: Path, mask: Mask, expression: str, no_target: bool = False) -> Dataset:
    """A dataset of one image and one sample."""
    Image.new("RGB", mask.shape[::-1]).save(folder / "a.png")
    samples = pd.DataFrame([make_sample("s", "a", "a.png", "test", expression, "fake", mask, no_target)])
    manifest = Manifest(
        name="one", source="drawn", licence="CC0", citation="none", counts={"test": {"samples": 1, "images": 1}},
        samples_sha256="0", images_sha256="0", no_target=no_target,
    )  # fmt: skip
    return Dataset(folder, manifest, samples, folder)


def box_mask(top: int, left: int, side: int = 20) -> Mask:
    mask = np.zeros((100, 100), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_exactly_what_was_planted_is_found(found: Audit, subtests: pytest.Subtests) -> None:
    for name, count in PLANTED.items():
        with subtests.test(name):
            finding = found.finding(name)
            assert finding.count == count
            assert len(finding.examples) == min(8, count)
            assert bool(finding.checked) == (name != "boxes as published")


def test_a_clean_dataset_has_no_finding(clean: Dataset) -> None:
    boxes = {row["sample_id"]: tuple(row["bbox_xyxy"]) for row in clean.samples.to_dict("records")}
    findings = audit(clean, boxes=boxes, image_size=(64, 64)).findings
    assert {finding.name: finding.count for finding in findings} == dict.fromkeys(PLANTED, 0)
    assert all(finding.checked for finding in findings if finding.name != "positions that contradict"
               and finding.name != "repeated, masks contradict")  # fmt: skip


def test_workers_do_not_change_the_result(many: Dataset, found: Audit) -> None:
    assert audit(many, image_size=(512, 512), workers=1) == found  # by five


def test_the_audit_is_plain_json_and_counts_what_is_there(clean: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    result = audit(clean, progress=lambda done, whole: calls.append((done, whole)))
    plain = json.loads(json.dumps(result.plain()))
    assert plain["samples"] == 72
    assert plain["images"] == 24
    assert plain["splits"]["val"]["samples"] == 24
    assert plain["splits"]["val"]["mean_per_image"] == 3
    assert plain["categories"] == {"disc": {s: {"samples": 24, "images": 8} for s in ("train", "val", "test")}}
    for histogram, total in (("mask_area", 72), ("words", 72), ("per_image", 24)):
        assert sum(bar["count"] for bar in plain[histogram]) == total
    assert {"label": "fake", "count": 72} in plain["frequent_words"]
    area = (clean.samples["mask_area"] / 64**2).mean()
    assert np.mean(plain["heat"]) == pytest.approx(area, rel=1e-3)
    assert calls[-1] == (96, 96)


def test_no_workers_are_refused(clean: Dataset) -> None:
    with pytest.raises(ValueError, match="workers is 0; give 1 or more"):
        audit(clean, workers=0)


def test_an_unreadable_image_is_listed_with_its_reason(many: Dataset, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    paths = [tmp_path / "no.png", tmp_path / "gone.png"]
    no, gone = measure_images(paths)
    assert "is no PNG, JPEG, WebP, BMP or TIFF" in no.fault
    assert str(tmp_path) not in no.fault  # the page is for others too
    assert gone.fault == "No such file or directory"


def test_a_box_that_the_source_published_wrongly_is_found(clean: Dataset) -> None:
    boxes = {row["sample_id"]: tuple(row["bbox_xyxy"]) for row in clean.samples.to_dict("records")}
    x1, y1, x2, y2 = boxes["val_0_0"]
    boxes |= {"val_0_0": (x2, y1, 2 * x2 - x1, y2), "val_0_1": (5, 5, 5, 5), "of no sample": (0, 0, 1, 1)}
    finding = audit(clean, boxes=boxes).finding("boxes as published")
    assert (finding.count, finding.checked) == (2, 72)
    assert {example.sample_ids for example in finding.examples} == {("val_0_0",), ("val_0_1",)}


def test_empty_masks_are_no_finding_where_expressions_are_of_what_is_not_there(tmp_path: Path) -> None:
    nothing = np.zeros((100, 100), bool)
    legal = audit(one_sample(tmp_path, nothing, "the ship at the top", no_target=True))
    assert (legal.finding("empty masks").count, legal.finding("positions that contradict").count) == (0, 0)
    assert legal.splits["test"].empty_masks == 1
    forbidden = one_sample(tmp_path, nothing, "the ship", no_target=True)
    manifest = forbidden.manifest.model_copy(update={"no_target": False})
    assert audit(dataclasses.replace(forbidden, manifest=manifest)).finding("empty masks").count == 1


def test_resized_images_are_listed_with_the_contrast_of_either_rule(tmp_path: Path) -> None:
    """Of two images of 105 rows one was stretched after its mask was made, one has five rows more."""
    mask = box_mask(60, 30)
    scene = np.where(mask, 200, 40).astype(np.uint8)[..., None].repeat(3, axis=-1)
    Image.fromarray(scene).resize((100, 105), Image.Resampling.BILINEAR).save(tmp_path / "stretched.png")
    Image.fromarray(np.pad(scene, ((0, 5), (0, 0), (0, 0)))).save(tmp_path / "longer.png")
    rows = [make_sample(name, name, f"{name}.png", "test", "the box", "box", mask) for name in ("stretched", "longer")]
    about = {"name": "odd", "source": "drawn", "licence": "CC0", "citation": "none"}
    save_dataset(tmp_path / "data", pd.DataFrame(rows), **about, images=tmp_path, fit=True)
    result = audit(load_dataset(tmp_path / "data", tmp_path), image_size=(100, 100))
    assert (result.finding("rows of another size").count, result.finding("images of another size").count) == (0, 2)
    finding = result.finding("images resized to their masks")
    assert (finding.count, finding.checked) == (2, 2)
    found = {}
    for example in finding.examples:
        said = re.fullmatch(
            r"105x100 -> 100x100 \(height x width\); contrast ([\d.]+) resized, ([\d.]+) cut or padded", example.detail
        )
        assert said is not None
        found[example.images[0]] = (float(said[1]), float(said[2]))
    assert found["stretched.png"][0] > found["stretched.png"][1]
    assert found["longer.png"][0] < found["longer.png"][1]


def test_a_contour_is_not_where_the_image_ends() -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[5:, :] = 100
    mask = np.zeros((20, 20), bool)
    mask[5:, :] = True
    assert contrast(pixels, mask) == 50  # half of the step on either side of it
    assert contrast(pixels, np.ones((20, 20), bool)) == contrast(pixels, np.zeros((20, 20), bool)) == 0


def test_a_mask_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    data = one_sample(tmp_path, box_mask(0, 0), "the ship")
    data.samples["height"] = 50
    with pytest.raises(SampleError, match=r"sample 's': mask .* does not fill 50x100 pixels"):
        audit(data)


# ----------------------------------------------------------------------------------------------------- masks and images


@given(st.integers(0, 2**32), st.integers(1, 44), st.integers(1, 44))
@settings(max_examples=20, deadline=None)
def test_a_mask_s_geometry_is_that_of_its_pixels(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [rng.random((height, width)) < density for density in (0, 0.05, 0.3, 0.5, 0.7, 0.95, 1)]
    facts = measure_masks([encode_mask(mask) for mask in masks], ["s"] * len(masks), height, width)
    for k, mask in enumerate(masks):
        assert facts.area[k] == mask.sum()
        assert tuple(facts.boxes[k]) == mask_bbox(mask)
        assert facts.pieces[k] == ndimage.label(mask, np.ones((3, 3)))[1]
        assert facts.crumbs[k] == ndimage.label(mask)[1]
        assert facts.holes[k] == ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1
        if mask.any():
            ys, xs = np.nonzero(mask)
            assert facts.centroid[k] == pytest.approx([(xs.mean() + 0.5) / width, (ys.mean() + 0.5) / height])
    assert facts.heat.shape == (HEAT, HEAT)
    assert facts.heat.mean() == pytest.approx(sum(mask.mean() for mask in masks))


def test_the_heat_map_has_the_mask_where_it_lies() -> None:
    facts = measure_masks([encode_mask(box_mask(0, 50, 50))], ["s"], 100, 100)
    assert facts.heat[0, -1] == pytest.approx(1)
    assert facts.heat[-1, -1] == facts.heat[0, 0] == 0


def photograph(seed: int) -> npt.NDArray[np.uint8]:
    """Unlike any other seed's: smooth blobs."""
    noise = np.random.default_rng(seed).standard_normal((128, 128, 3))
    return (ndimage.gaussian_filter(noise, (14, 14, 1)) * 1500 + 128).clip(0, 255).astype(np.uint8)


def looks(folder: Path, **pictures: Image.Image) -> list[ImageFacts]:
    for name, picture in pictures.items():
        picture.save(folder / name.replace("_", "."), quality=60)
    return measure_images([folder / name.replace("_", ".") for name in pictures])


def test_a_copy_saved_anew_smaller_or_brighter_is_found(tmp_path: Path) -> None:
    original = Image.fromarray(photograph(0))
    found = looks(
        tmp_path,
        original_png=original,
        compressed_jpg=original,
        smaller_png=original.resize((90, 90)),
        brighter_png=original.point(lambda value: min(255, value * 1.1 + 5)),
        other_png=Image.fromarray(photograph(1)),
        mirrored_png=original.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    )
    assert {near.second for near in near_copies(found, [0], range(1, 6))} == {1, 2, 3}


def test_unrelated_images_are_no_copies(tmp_path: Path) -> None:
    found = looks(tmp_path, **{f"a{seed}_png": Image.fromarray(photograph(seed)) for seed in range(40)})
    assert all(facts.dhash is not None for facts in found)
    assert list(near_copies(found, range(20), range(20, 40))) == []


def test_nearly_flat_images_and_plain_gradients_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sea = [Image.fromarray((90 + rng.normal(0, 8, (128, 128, 3))).astype(np.uint8)) for _ in range(8)]
    ramp = np.linspace(30, 220, 128)[None, :, None]
    haze = [Image.fromarray((ramp + rng.normal(0, 8, (128, 128, 3))).clip(0, 255).astype(np.uint8)) for _ in range(8)]
    found = looks(tmp_path, **{f"a{k}_png": picture for k, picture in enumerate(sea + haze)})
    assert all(facts.dhash is None for facts in found[:8])
    assert list(near_copies(found, range(0, 16, 2), range(1, 16, 2))) == []


def test_the_nearest_of_several_copies_is_the_one_named(tmp_path: Path) -> None:
    original = Image.fromarray(photograph(0))
    found = looks(tmp_path, a_jpg=original, b_png=original, c_png=Image.fromarray(photograph(3)), d_png=original)
    (near,) = near_copies(found, [2, 0, 1], [3])
    assert (near.first, near.second, near.bits) == (1, 3, 0)


# ------------------------------------------------------------------------------------------------------------ positions


PLACES: list[tuple[str, float | None, float | None]] = [
    ("The vehicle is located at the top edge of the image, closer to the center of the road.", None, 0),
    ("The ship located towards the bottom left of the image.", 0, 1),
    ("a plane in the UPPER  Left corner", 0, 0),
    ("the ship on the left", 0, None),
    ("the ship on the right-hand side of the picture", 1, None),
    ("the court in the bottom-right corner with a red roof", 1, 1),
    ("the court at the very top of the scene", None, 0),
    ("the aircraft near the center of the image", 0.5, 0.5),
    ("the aircraft in the middle", 0.5, 0.5),
    ("the pool at the bottom center of the image", 0.5, 1),
    ("the pool in the center-left of the image", 0, 0.5),
    ("the group of ships in the lower half of the image", None, 1),
    ("the dam is to the left of the image", 0, None),
    ("the dam in the image's lower right corner", 1, 1),
    ("the road in the lower part of the image is wide", None, 1),
    ("the ship on the right of the image, at the top", 1, 0),
    ("the ship at the top, to the right of the pier", None, 0),
    ("the object that appears to be in the top left corner", 0, 0),
]
NO_PLACES = [
    "the vehicle to the left of the ship",
    "the vehicle above the chimney at the bottom",
    "the vehicle on the right side of the road",
    "the roof on the top of the building",
    "the top of the building",
    "the ship that is closest to the top edge of the image",
    "the leftmost ship",
    "the left ship",
    "the second vehicle from the left",
    "the court in the middle of the two roads",
    "the court in the middle, between two roads",
    "the vehicle in the upper left corner of the parking lot",
    "the ship at the left of the image center",
    "the vehicle next to the pool on the right",
    "the ship on the left and the ship on the right",
    "the vehicle not at the top of the image",
    "the road from the top to the bottom of the image",
    "the road that leads to the top of the image",
    "the plane facing towards the bottom of the image",
    "the ship to the left",
    "the truck at right angles to the road",
    "the stop sign on topsoil",
    "the ship at the top of the image at the bottom",
    "the plane whose nose is at the bottom",
    "the vehicle on the bottom right side of the dam",
    "the vehicle isn't in the middle",
    "",
]
CONTRADICTIONS = [
    ("the ship at the top", 55, 40, True),  # centroid y 65
    ("the ship at the top", 49, 40, False),  # 59
    ("the ship at the bottom of the image", 20, 40, True),
    ("the ship on the left side", 0, 60, True),
    ("the ship on the right side", 0, 60, False),
    ("the ship in the upper left corner", 0, 70, True),  # one of both is enough
    ("the ship in the center", 40, 0, True),
    ("the ship in the center", 40, 15, False),
    ("the ship below the pier at the top", 80, 40, False),
]


def test_an_absolute_place_is_read(subtests: pytest.Subtests) -> None:
    for expression, x, y in PLACES:
        with subtests.test(expression):
            position = stated_position(expression)
            assert position is not None
            assert (position.x, position.y) == (x, y)


def test_a_relation_or_a_comparison_is_no_absolute_place(subtests: pytest.Subtests) -> None:
    for expression in NO_PLACES:
        with subtests.test(expression):
            assert stated_position(expression) is None


def test_only_a_mask_clearly_elsewhere_contradicts(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for expression, top, left, contradicts in CONTRADICTIONS:
        with subtests.test(expression, top=top, left=left):
            data = one_sample(tmp_path, box_mask(top, left), expression)
            assert audit(data).finding("positions that contradict").count == contradicts


def test_a_contradiction_grows_with_the_distance() -> None:
    top = Position("at the top", None, 0.0)
    assert contradiction(top, 0.5, 0.6) == 0
    assert 0 < contradiction(top, 0.5, 0.7) < contradiction(top, 0.5, 0.9)


# ------------------------------------------------------------------------------------------------------ published lines


def published(name: str) -> list[dict[str, Any]]:
    path = ANNOTATIONS / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def test_the_line_of_risbench_whose_mask_is_not_at_the_top_is_found(tmp_path: Path) -> None:
    counts = []
    for line in published("risbench_test.sample.jsonl"):
        mask = decode_mask(line["segmentation"]["counts"], *line["segmentation"]["size"])
        finding = audit(one_sample(tmp_path, mask, line["sent"])).finding("positions that contradict")
        counts.append(finding.count)
    assert counts == [0, 0, 0, 1, 0, 0]


def test_the_mask_of_rrsisd_with_29_crumbs_is_found_and_its_box_too(tmp_path: Path) -> None:
    (line,) = published("rrsisd_val.sample.json")
    (code,) = line["segmentation"]
    mask = coco.decode({"size": code["size"], "counts": code["counts"].encode()}).astype(bool)
    found = audit(one_sample(tmp_path, mask, line["sent"]), boxes={"s": tuple(line["bbox"])})
    (ragged,) = found.finding("ragged masks").examples
    assert ragged.detail == "2 pieces (29 if corners do not join), 24 holes"
    (box,) = found.finding("boxes as published").examples
    assert box.detail == "published [499, 34, 510, 61], the mask's [496, 24, 512, 64], IoU 0.46"
