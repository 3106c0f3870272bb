"""Masks that are all empty, all full or all the same are told from masks that are only bad, at the border too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmark.data.rle import encode_mask
from benchmark.metrics.collapse import APART, LEAST_PAIRS, LEVEL, Collapse, _ious, find_collapse

Mask = NDArray[np.bool_]
SIDE = 10


def square(side: int, place: int = 0) -> Mask:
    """(SIDE, SIDE), a square of `side` pixels a side at (place, place)."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[place : place + side, place : place + side] = True
    return mask


def tables(samples: list[tuple[str, Mask, Mask]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(image, truth, prediction) of each sample -> the per-sample table and the masks."""
    lines = pd.DataFrame(
        {
            "sample_id": f"s{number}", "image_id": image, "category": None, "mask_area": int(truth.sum()),
            "predicted_area": int(mask.sum()), "intersection": int((truth & mask).sum()),
            "union": int((truth | mask).sum()),
        }
        for number, (image, truth, mask) in enumerate(samples)
    )  # fmt: skip
    masks = pd.DataFrame({"sample_id": lines["sample_id"], "prediction": [encode_mask(one[2]) for one in samples]})
    return lines, masks


def answers(*, images: int = 20, small: Mask, large: Mask) -> list[tuple[str, Mask, Mask]]:
    """Images with a small object (4 pixels) and a large one (36), and what is answered of each."""
    return [
        sample
        for number in range(images)
        for sample in ((f"i{number}", square(2), small), (f"i{number}", square(6, 4), large))
    ]


NOTHING, EVERYTHING = square(0), square(SIDE)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (NOTHING, NOTHING, Collapse(kind="empty", share=1)),
        (EVERYTHING, EVERYTHING, Collapse(kind="full", share=1)),
        (square(5), square(5), Collapse(kind="constant", share=1)),
        (square(2), square(6, 4), None),  # right
        (square(2, 8), square(6), None),  # wrong everywhere, but not the same
        (NOTHING, square(5), None),  # half of the masks are empty
    ],
)
def test_each_kind_is_told_and_what_is_only_bad_is_not(small: Mask, large: Mask, expected: Collapse | None) -> None:
    assert find_collapse(*tables(answers(small=small, large=large))) == expected


@pytest.mark.parametrize(("kind", "wrong"), [("empty", NOTHING), ("full", EVERYTHING)])
def test_the_level_of_samples_counts_from_itself_on(kind: str, wrong: Mask) -> None:
    right = [(f"i{number}", square(2), square(2)) for number in range(20)]
    for count, expected in ((18, None), (19, kind), (20, kind)):
        lines, masks = tables([(image, truth, wrong) for image, truth, _ in right[:count]] + right[count:])
        found = find_collapse(lines, masks)
        assert (found.kind if found else None) == expected
        assert found is None or found.share == count / 20 >= LEVEL


def test_a_mask_is_full_from_the_level_of_its_image_on() -> None:
    for missing, expected in ((5, "full"), (6, None)):
        mask = EVERYTHING.copy()
        mask.flat[:missing] = False
        found = find_collapse(*tables([(f"i{number}", square(2), mask) for number in range(3)]))
        assert (found.kind if found else None) == expected


def test_masks_are_the_same_from_a_mean_iou_of_the_level_on() -> None:
    large = square(6)
    for missing, expected in ((1, "constant"), (2, None)):  # 35/36 and 34/36 of it
        small = large.copy()
        small.flat[:missing] = False
        found = find_collapse(*tables(answers(small=small, large=large)))
        assert (found.kind if found else None) == expected
        assert found is None or found.share == pytest.approx((36 - missing) / 36, abs=1e-6)


def test_expressions_of_one_object_may_have_the_same_mask() -> None:
    """Two sentences on about one object: a right answer is about one mask, of every image."""
    for area, expected in ((2, "constant"), (3, None)):  # of 4 true pixels: at most APART, and more
        other = square(2)
        other.flat[np.flatnonzero(other)[: 4 - area]] = False
        assert (area / 4 <= APART) == (expected is not None)
        samples = [(f"i{number}", truth, square(2, number % 9)) for number in range(10) for truth in (square(2), other)]
        found = find_collapse(*tables(samples))
        assert (found.kind if found else None) == expected


def test_an_empty_mask_is_right_where_there_is_no_target() -> None:
    absent = [(f"i{number}", NOTHING, NOTHING) for number in range(20)]
    assert find_collapse(*tables(absent)) is None
    right = [(f"i{number}", square(2), square(2)) for number in range(2)]
    assert find_collapse(*tables(absent + right)) is None
    silent = [(f"i{number}", square(2), NOTHING) for number in range(2)]
    assert find_collapse(*tables(absent + silent)) == Collapse(kind="empty", share=1)


def test_where_images_have_one_expression_images_are_compared() -> None:
    def one_each(mask: Mask | None) -> list[tuple[str, Mask, Mask]]:
        truths = [square(2 + 4 * (number % 2)) for number in range(2 * LEAST_PAIRS)]
        return [(f"i{n}", truth, truth if mask is None else mask) for n, truth in enumerate(truths)]

    assert find_collapse(*tables(one_each(square(4)))) == Collapse(kind="constant", share=1)
    assert find_collapse(*tables(one_each(None))) is None


def test_of_too_few_pairs_nothing_is_said_but_that_they_are_empty() -> None:
    for images, expected in ((LEAST_PAIRS, "constant"), (4, None)):
        found = find_collapse(*tables(answers(images=images, small=square(5), large=square(5))))
        assert (found.kind if found else None) == expected
    found = find_collapse(*tables(answers(images=1, small=NOTHING, large=NOTHING)))
    assert found == Collapse(kind="empty", share=1)


def test_without_masks_only_empty_is_found() -> None:
    for mask, expected in ((NOTHING, Collapse(kind="empty", share=1)), (EVERYTHING, None), (square(5), None)):
        lines, _ = tables(answers(small=mask, large=mask))
        assert find_collapse(lines, None) == expected


def test_the_iou_of_codes_is_that_of_the_masks_whatever_their_sizes() -> None:
    rng = np.random.default_rng(0)
    masks, expected = [], []
    for shape in ((7, 9), (9, 7), (4, 4), (7, 9)):
        for share in (0, 0.1, 0.5, 0.9, 1):
            first, second = rng.random(shape) < share, rng.random(shape) < 0.5
            first[0, 0] = True  # a code that begins with a run of no pixels
            masks += [first, second]
            expected.append((first & second).sum() / (first | second).sum())
    pairs = [(place, place + 1) for place in range(0, len(masks), 2)]
    codes, pixels = [encode_mask(mask) for mask in masks], np.array([mask.size for mask in masks])
    assert _ious(codes, pairs, pixels).tolist() == expected


def test_masks_of_one_image_that_differ_in_size_are_an_error() -> None:
    lines, masks = tables(answers(small=square(2), large=square(6, 4)))
    larger = encode_mask(np.pad(square(6, 4), ((0, 1), (0, 1))))
    with pytest.raises(ValueError, match="its runs cover 121 of 100 pixels"):
        find_collapse(lines, masks.assign(prediction=masks["prediction"].where(lines["mask_area"] == 4, larger)))
