"""What is measured from codes against the plain count of pixels, integer by integer."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from scipy import ndimage

from benchmark.data.rle import TOGETHER, encode_mask
from benchmark.metrics.boundary import boundary_width
from benchmark.metrics.measure import AREA_COLUMNS, Details, measure
from benchmark.speed.reference import confusion_areas, histogram_areas, pixel_areas, pixel_details
from tests.masks import Mask, mask_tables

SIDES = (480, 7)


def plainly(truth: Mask, prediction: Mask) -> list[int]:
    depth = boundary_width(*truth.shape)
    return [*pixel_areas(truth, prediction), *pixel_details(truth, prediction, depth, SIDES)]


def odd_masks(height: int, width: int) -> list[Mask]:
    """Empty, full, one pixel in each corner, one row, one column, all but one pixel, the columns' ends."""
    masks = [np.zeros((height, width), bool) for _ in range(8)]
    masks[1][:] = True
    masks[2][0, 0] = masks[3][-1, -1] = masks[3][0, -1] = True
    masks[4][height // 2] = masks[5][:, width // 2] = True
    masks[6] = ~masks[2]
    masks[7][0] = masks[7][-1] = True  # runs go on from the foot of a column to the head of the next
    return masks


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_every_integer_is_that_of_the_pixels(seed: int, shapes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)

    def blobs(shape: tuple[int, int]) -> Mask:
        return ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0, 4)) > rng.uniform(-0.2, 0.2)

    pairs = [(blobs(shape), blobs(shape)) for shape in shapes * 3]
    for shape in shapes:
        odd = odd_masks(*shape)
        pairs += zip(odd, [odd[place] for place in rng.permutation(len(odd))], strict=True)
    lines = measure(*mask_tables(pairs), Details(SIDES))
    numbers = lines.drop(columns=["sample_id", "image_id", "category"])
    assert numbers.to_numpy().tolist() == [plainly(*pair) for pair in pairs]
    for row, pair in zip(numbers[list(AREA_COLUMNS)].to_numpy().tolist(), pairs, strict=True):
        assert tuple(row) == histogram_areas(*pair) == confusion_areas(*pair)


def test_what_is_measured_does_not_depend_on_what_is_measured_with_it() -> None:
    rng = np.random.default_rng(0)
    shapes = [(90, 60), (60, 90), (5, 400)] * 40
    pairs = [(rng.random(shape) < 0.5, rng.random(shape) < 0.5) for shape in shapes]
    samples, predictions = mask_tables(pairs)
    assert samples["mask"].str.len().sum() > 2 * TOGETHER  # in several parts
    whole = measure(samples, predictions, Details(SIDES))
    alone = [measure(samples[k : k + 1], predictions[119 - k : 120 - k], Details(SIDES)) for k in range(120)]
    pd.testing.assert_frame_equal(whole, pd.concat(alone, ignore_index=True))


def test_runs_of_nothing_within_a_code_change_no_number() -> None:
    mask = np.zeros((9, 7), bool)
    mask[2:8, 1:6] = True
    runs = [int(run) for run in np.diff(np.flatnonzero(np.diff(np.r_[False, mask.T.ravel(), False])), prepend=0)]
    runs.append(63 - sum(runs))
    split = [runs[0], 2, 0, runs[1] - 2, 0, 0, *runs[2:], 0]  # the same mask
    code = coco.frPyObjects({"size": [9, 7], "counts": split}, 9, 7)["counts"].decode()
    samples, predictions = mask_tables([(mask, mask)])
    assert code != samples["mask"][0]
    odd = predictions.assign(prediction=[code])
    pd.testing.assert_frame_equal(measure(samples, odd, Details(SIDES)), measure(samples, predictions, Details(SIDES)))


def test_a_mask_of_another_size_is_an_error_that_names_the_sample(subtests: pytest.Subtests) -> None:
    samples, predictions = mask_tables([(np.ones((4, 5), bool), np.ones((4, 5), bool)) for _ in range(6)])
    for what, code, message in (
        ("too small", encode_mask(np.ones((4, 4), bool)), r"'2': its runs cover 16 of 20 pixels, 4x5"),
        ("too large", encode_mask(np.ones((9, 9), bool)), r"'2': its runs cover 81 of 20 pixels"),
        ("none", "a mask", r"'2': mask 'a mask' is no compressed run-length code"),
        ("not ended", "0T", r"'2': mask '0T' is no compressed"),
        ("empty", "", r"'2': mask '' is no compressed"),
    ):
        for table, column in ((samples, "mask"), (predictions, "prediction")):
            wrong = table.assign(**{column: table[column].where(table["sample_id"] != "2", code)})
            given = (wrong, predictions) if column == "mask" else (samples, wrong)
            with subtests.test(f"{what} {column}"), pytest.raises(ValueError, match=message):
                measure(*given)


def test_progress_ends_with_all_samples() -> None:
    told: list[tuple[int, int]] = []
    pairs = [(np.ones((4, 5), bool), np.ones((4, 5), bool)), (np.ones((6, 5), bool), np.ones((6, 5), bool))]
    measure(*mask_tables(pairs * 3), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)


def test_memory_beside_the_table_does_not_grow_with_the_samples() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.random((40, 40)) < 0.5, rng.random((40, 40)) < 0.5) for _ in range(50)]
    peaks = []
    for times in (20, 80):
        samples, predictions = mask_tables(pairs * times)
        tracemalloc.start()
        lines = measure(samples, predictions, Details((480,)))
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append(peak - kept)
        assert len(lines) == 50 * times
    assert peaks[1] < 1.5 * peaks[0]
