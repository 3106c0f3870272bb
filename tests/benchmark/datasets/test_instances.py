"""What the segmentation of an annotation may be, and how it becomes a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from benchmark.data.samples import SampleError
from benchmark.datasets.instances import Annotation, instance_mask
from tests.benchmark.datasets.conftest import block
from tests.pictures import segmentation_of


def annotation(segmentation: Any, **more: Any) -> Annotation:
    return Annotation.model_validate({"id": 7, "image_id": 1, "category_id": 1, "segmentation": segmentation, **more})


def test_every_way_of_writing_a_mask_reads_as_the_same_pixels(subtests: pytest.Subtests) -> None:
    for kind, way in enumerate(("polygon", "runs", "compressed")):
        for mask in (block(3, 4, 11, 9), block(0, 0, 30, 20), block(29, 19, 30, 20), block(0, 5, 1, 9)):
            with subtests.test(way):
                assert np.array_equal(
                    instance_mask(annotation(segmentation_of(mask, kind)), 20, 30, Path("x.json")), mask
                )


def test_several_polygons_or_codes_mean_their_union() -> None:
    one, other = block(3, 4, 11, 9), block(20, 2, 25, 18)
    polygons = [*segmentation_of(one, 0), *segmentation_of(other, 0)]
    codes = [segmentation_of(one, 2), segmentation_of(other, 1)]
    for segmentation in (polygons, codes):
        assert np.array_equal(instance_mask(annotation(segmentation), 20, 30, Path("x.json")), one | other)


def test_a_polygon_is_cut_at_the_border_of_its_image() -> None:
    mask = instance_mask(annotation([[-5, -5, 10, -5, 10, 10, -5, 10]]), 20, 30, Path("x.json"))
    assert np.array_equal(mask, block(0, 0, 10, 10))


BAD: list[tuple[Any, str]] = [
    ({"size": [30, 20], "counts": [0, 600]}, r"annotation 7: its mask is 30x20 .* its image 20x30"),
    ({"size": [20, 30], "counts": [0, 599]}, "annotation 7: its runs cover 599 of 600 pixels"),
    ({"size": [20, 30], "counts": [0, 2**62]}, "annotation 7: its runs cover"),
    ({"size": [20, 30], "counts": "zzzz"}, "annotation 7: mask 'zzzz' is no compressed run-length code"),
    ({"size": [20, 30], "counts": "~" * 5000}, "annotation 7: mask '~+' is no compressed run-length code"),
    ({"size": [20, 30], "counts": "ö"}, "annotation 7: mask 'ö' is no compressed run-length code"),
    ({"size": [20, 30], "counts": "P"}, "annotation 7: mask 'P' is no compressed run-length code"),
    ({"size": [20, 30], "counts": "N" * 200}, "annotation 7: mask 'N+' has a run of -2 pixels"),
    ({"size": [20, 30], "counts": ""}, "annotation 7: mask '' is no compressed run-length code"),
    ([[1, 1, 5, 1, 5, 5, 1]], "annotation 7: a polygon has 7 numbers, and x and y come in pairs"),
    ([[0, 0, 1e12, 0, 1e12, 1e12]], r"annotation 7: a polygon goes to x 1e\+12, y 0, further outside .* 20x30"),
    ([[0, 0, 5e10, 0, 5, 5]], r"annotation 7: a polygon goes to x 5e\+10"),
    ([[0, 0, 5, 1e300, 5, 5]], r"annotation 7: a polygon goes to x 5, y 1e\+300"),
    ([[0, 0, 5, 5, -31, 5]], "annotation 7: a polygon goes to x -31, y 5"),
    ([[0, 0, 30, 20] * 100_000], "annotation 7: a polygon is 6,000,000 pixels long, more than 4,000,000"),
]


def test_a_mask_that_is_not_its_images_is_refused(subtests: pytest.Subtests) -> None:
    for segmentation, message in BAD:
        with subtests.test(message), pytest.raises(SampleError, match=rf"^x\.json: {message}"):
            instance_mask(annotation(segmentation), 20, 30, Path("x.json"))


def test_a_size_that_is_never_read_takes_no_memory() -> None:
    huge = {"size": [10**6, 10**6], "counts": "1"}
    with pytest.raises(
        SampleError, match=r"annotation 7 says it is 1000000x1000000 .* more than the 89,478,485 pixels"
    ):
        instance_mask(annotation(huge), 10**6, 10**6, Path("x.json"))


def test_a_code_with_a_run_of_no_pixels_means_what_pycocotools_makes_of_it() -> None:
    code = coco.frPyObjects({"size": [20, 30], "counts": [10, 5, 0, 5, 580]}, 20, 30)
    segmentation = {"size": [20, 30], "counts": code["counts"].decode()}
    mask = instance_mask(annotation(segmentation), 20, 30, Path("x.json"))
    assert mask.sum() == 10
    assert np.array_equal(mask, coco.decode(code).astype(bool))


def test_compressed_codes_of_all_kinds_read_as_pycocotools_reads_them() -> None:
    rng = np.random.default_rng(0)
    for number in range(200):
        height, width = rng.integers(1, 60, 2).tolist()
        truth = rng.random((height, width)) < (number % 5) / 4
        code = coco.encode(np.asfortranarray(truth.astype(np.uint8)))
        segmentation = {"size": [height, width], "counts": code["counts"].decode()}
        assert np.array_equal(instance_mask(annotation(segmentation), height, width, Path("x.json")), truth)
