"""Boundary IoU against its definition, erosion by erosion."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.data.rle import encode_mask
from benchmark.data.spans import area, eroded, read_spans, stride
from benchmark.metrics.boundary import boundary_gap, boundary_width, compare_boundaries


def by_definition(mask: np.ndarray, depth: int) -> np.ndarray:
    """The mask without what is left of it after `depth` erosions by a square of 3 x 3; nothing is beyond the image."""
    square = np.ones((3, 3), bool)
    return mask & ~ndimage.binary_erosion(mask, square, iterations=depth, border_value=0)


def boundary_areas(masks: list[np.ndarray], depth: int) -> list[int]:
    """Pixels of the boundary region of each mask, measured together."""
    height, width = masks[0].shape
    gap = 2 * depth + 1
    spans, distance = read_spans([encode_mask(mask) for mask in masks], height, width, gap), stride(height, width, gap)
    whole, inside = (area(one, len(masks), distance) for one in (spans, eroded(spans, height, depth)))
    return (whole - inside).tolist()


def compared(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int]:
    spans = (read_spans([encode_mask(mask)], *mask.shape, boundary_gap(*mask.shape)) for mask in (truth, prediction))
    intersection, union = compare_boundaries(*spans, 1, *truth.shape)
    return int(intersection[0]), int(union[0])


@given(st.integers(0, 2**32), st.tuples(st.integers(5, 59), st.integers(5, 59)))
@settings(max_examples=30, deadline=None)
def test_the_region_is_what_erosion_takes_away(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    masks = [
        ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.5, 4)) > rng.uniform(-0.1, 0.1)
        for _ in range(3)
    ]
    for depth in (1, 2, 5, 80):
        assert boundary_areas(masks, depth) == [int(by_definition(mask, depth).sum()) for mask in masks]
    near = [by_definition(mask, boundary_width(*shape)) for mask in masks]
    assert compared(*masks[:2]) == (int((near[0] & near[1]).sum()), int((near[0] | near[1]).sum()))


def test_by_hand() -> None:
    mask = np.zeros((12, 12), bool)
    mask[2:9, 2:9] = True  # 7 x 7: the outer ring has 24 pixels
    assert boundary_areas([mask], 1) == [24]
    moved = np.roll(mask, 1, axis=1)
    assert boundary_width(12, 12) == 1
    # the rings share the upper and lower edge but for one pixel each
    assert compared(mask, moved) == (12, 36)
    nothing = np.zeros_like(mask)
    assert compared(mask, nothing) == (0, 24)
    assert compared(nothing, nothing) == (0, 0)
    assert boundary_areas([np.ones((4, 4), bool)], 1) == [12]  # the image's edge is a contour


def test_the_width_is_two_percent_of_the_diagonal() -> None:
    for height, width, depth in ((512, 512, 14), (800, 800, 23), (256, 256, 7), (8, 8, 1)):
        assert boundary_width(height, width) == depth
