"""Boundary IoU: the IoU of what lies near the contours, which is what a large mask's IoU hardly sees.

Source: Cheng et al., Boundary IoU, CVPR 2021 (arXiv:2103.16562), equation 3, with their settings: near is within 2 % of
the image's diagonal, at least one pixel, counted inwards in 8-neighbour steps; the image's own edge is a contour too.

The boundary region of a mask is what its erosion by a square takes away. Only sizes of regions are needed, and they
follow from the sizes of what masks and erosions share, so no region is ever made (benchmark/data/spans.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.data.spans import Spans, area, eroded, shared, stride

NEAR = 0.02  # of the diagonal


def boundary_width(height: int, width: int) -> int:
    """How many pixels deep the boundary of a mask in an image of this size is, at least 1."""
    return max(1, round(NEAR * float(np.hypot(height, width))))


def boundary_gap(height: int, width: int) -> int:
    """Columns that must lie between the masks whose boundaries are compared."""
    return 2 * boundary_width(height, width) + 1


def compare_boundaries(
    truth: Spans, prediction: Spans, masks: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intersection and union of the boundary regions of so many pairs of masks, in pixels.

    The masks are of height x width, `boundary_gap` apart.
    """
    depth, distance = boundary_width(height, width), stride(height, width, boundary_gap(height, width))
    inside = eroded(truth, height, depth), eroded(prediction, height, depth)
    areas = [area(spans, masks, distance) for spans in (truth, prediction, *inside)]
    overlaps = [
        area(shared(one, other), masks, distance) for one in (truth, inside[0]) for other in (prediction, inside[1])
    ]
    # in both masks, less where one of them is inside; where both are was taken away twice
    intersection = overlaps[0] - overlaps[1] - overlaps[2] + overlaps[3]
    return intersection, areas[0] + areas[1] - areas[2] - areas[3] - intersection
