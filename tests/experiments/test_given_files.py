"""Files as people have them, through the real commands: one test for each situation of ../shared/cases/README.md that
is about images, masks and COCO files. The files lie beside the repository; where they are not these tests are skipped,
and the tests of benchmark/data/images/ and benchmark/datasets/ draw the same faults themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmark.audit.audit import audit
from benchmark.data.images import read_picture
from benchmark.data.samples import Dataset, SampleError, load_dataset
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details, measure
from benchmark.scoring import read_submission
from experiments import fetch

CASES = Path(__file__).parents[3] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the files are not at {CASES}")
ROOT = Path(__file__).parents[2]
INDICES = {"classes": {"house": "#010101", "field": "#020202", "pond": "#030303"}, "background": ["#000000"]}
GREYS = {"classes": {"house": "#505050", "field": "#A0A0A0", "pond": "#F0F0F0"}, "background": ["#000000"]}
Fetch = Callable[..., Dataset]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetches a case by the command, as a dataset of its name."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, **settings: Any) -> Dataset:
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        kind = "coco" if name.startswith("coco") else "masks"
        own = {"kind": kind, "root": str(CASES / name), "licence": "own", "citation": "me", **settings}
        Path("params.yaml").write_text(yaml.safe_dump({**params, "datasets": {**params["datasets"], name: own}}))
        fetch.main(dataset=name, offline=True)
        return load_dataset(Path("data") / name)

    return run


def refused(fetched: Fetch, capsys: pytest.CaptureFixture[str], name: str, **settings: Any) -> str:
    """What is said where nothing is written."""
    with pytest.raises(SystemExit):
        fetched(name, **settings)
    assert not Path("data").exists() or not list(Path("data").iterdir())
    return " ".join(capsys.readouterr().err.split())


def test_brush_masks_of_cvat_are_named_as_crowds_with_what_to_set(
    fetched: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(fetched, capsys, "coco_cvat_masks")
    assert "all 18 instances of split train, val, test are crowds (iscrowd: 1)" in said
    assert "datasets.coco_cvat_masks.crowds: instances" in said
    assert len(fetched("coco_cvat_masks", crowds="instances").samples) > 20


def test_crowds_beside_instances_are_counted(fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    fetched("coco_cvat_half")
    said = " ".join(capsys.readouterr().out.split())
    assert "6 of 18 instances are crowds (iscrowd: 1) and have no sentence" in said
    shutil.rmtree("data")
    said = refused(fetched, capsys, "coco_cvat_mixed")  # a split of brush masks, two of polygons
    assert "all 6 instances of split val are crowds (iscrowd: 1), 6 of 18 in all splits" in said
    assert len(fetched("coco_cvat_mixed", crowds="instances").samples) > 20


def test_boxes_without_masks_are_named_at_once_or_left_out(fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    files = [json.loads(path.read_text()) for path in (CASES / "coco_bbox_only" / "annotations").iterdir()]
    entries = [entry for file in files for entry in file["annotations"]]
    lone = sum(not entry["segmentation"] for entry in entries)
    said = refused(fetched, capsys, "coco_bbox_only")
    assert f"{lone} of {len(entries)} annotations have no mask (segmentation: [])" in said
    assert "datasets.coco_bbox_only.boxes: leave_out" in said
    fetched("coco_bbox_only", boxes="leave_out")
    assert f"{lone} of {len(entries)} instances have a box and no mask" in " ".join(capsys.readouterr().out.split())


def test_separators_of_windows_are_read(fetched: Fetch) -> None:
    assert set(fetched("coco_backslash").manifest.counts) == {"train", "val", "test"}


def test_an_image_listed_twice_is_named(fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(fetched, capsys, "coco_dup_entry")
    assert "images/train_0.png is listed 2 times, as image 1 of split train" in said
    assert "image 77 of split train" in said
    assert "instances_train.json" in said
    said = refused(fetched, capsys, "coco_leak")
    assert "images/test_0.png is listed 2 times, as image 500 of split train" in said
    assert "of split test" in said


def test_an_orientation_is_applied_and_reported(fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = fetched("coco_exif6")
    assert "6 images or patches were turned by an orientation tag" in " ".join(capsys.readouterr().out.split())
    found = audit(dataset, workers=1)
    assert found.finding("turned images").count == found.images
    assert found.finding("masks beside their objects").count == 0


def test_masks_of_images_that_were_not_turned_are_found_by_the_audit(
    fetched: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.images.png_jpeg.check_orientation", lambda path, value: 1)
    found = audit(fetched("coco_exif6"), workers=1).finding("masks beside their objects")
    assert found.count == found.checked > 0
    assert all("turned by 90° counter-clockwise" in example.detail for example in found.examples)


def test_polygons_of_points_are_told_the_shape(fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a polygon is one flat list [x1, y1, x2, y2, ...]" in refused(fetched, capsys, "coco_points")


def test_labels_of_8_and_16_bits_are_the_same_labels(fetched: Fetch) -> None:
    tables = [
        fetched(name, **settings).samples.drop(columns=["image"])
        for name in ("masks_index8", "masks_index16")
        for settings in (INDICES, {"classes": {"house": 1, "field": 2, "pond": 3}, "background": [0]})
    ]
    assert all(table.equals(tables[0]) for table in tables)
    assert set(tables[0]["category"]) == {"house", "field", "pond"}


def test_what_a_mac_lays_beside_masks_is_ignored(fetched: Fetch) -> None:
    assert len(fetched("masks_mac", **GREYS).samples)


def test_masks_as_tiff_are_read(fetched: Fetch) -> None:
    assert set(fetched("masks_tif", **GREYS).samples["category"]) == {"house", "field", "pond"}


def test_submissions_are_perfect_or_refused(fetched: Fetch, subtests: pytest.Subtests) -> None:
    dataset = fetched("coco_exif6")
    for given in ("good.jsonl", "png255"):
        with subtests.test(given):
            masks = read_submission(dataset, "test", CASES / "pred" / given)
            assert summary(measure(dataset.split("test"), masks, Details(())))["miou"] == 1
    for given in ("pngP", "png254"):
        with subtests.test(given), pytest.raises(SampleError, match="and no 0; a mask has 0 and one other"):
            read_submission(dataset, "test", CASES / "pred" / given)


def test_the_first_full_size_picture_is_read_of_overviews_cogs_and_drones(subtests: pytest.Subtests) -> None:
    for name in ("overviews.tif", "cog.tif", "drone.jpg"):
        with subtests.test(name):
            assert read_picture(CASES / "tiffs" / name).pixels.shape == (256, 256, 3)


def test_16_bits_and_floating_point_are_read_as_the_same_picture() -> None:
    one, other = (read_picture(CASES / "tiffs" / name).pixels for name in ("u16_4band.tif", "f32_01.tif"))
    assert np.abs(one.astype(int) - other).max() <= 1
    assert one.std() > 30


def test_what_has_no_data_is_0_and_takes_no_part_in_the_stretch(subtests: pytest.Subtests) -> None:
    whole = read_picture(CASES / "tiffs" / "u16_4band.tif").pixels
    for name in ("u16_nodata_alpha.tif", "u8_mask_internal.tif", "sparse.tif"):
        with subtests.test(name):
            picture = read_picture(CASES / "tiffs" / name)
            assert picture.known is not None
            assert 0 < picture.known.mean() < 1
            assert not picture.pixels[~picture.known].any()
            assert picture.pixels[picture.known].mean() > 0.7 * whole[picture.known].mean()


def test_jpeg_2000_is_refused_with_the_command(tmp_path: Path) -> None:
    shutil.copy(CASES / "tiffs" / "sentinel.jp2", tmp_path)
    with pytest.raises(SampleError, match=r"is JPEG 2000.*convert it: gdal_translate \S*sentinel.jp2 \S*sentinel.tif"):
        read_picture(tmp_path / "sentinel.jp2")
