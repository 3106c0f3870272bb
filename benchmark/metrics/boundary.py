"""Boundary IoU: the IoU of what lies near the contours, which is what a large mask's IoU hardly sees.

Source: Cheng et al., Boundary IoU, CVPR 2021 (arXiv:2103.16562), equation 3, with their settings: near is within 2 % of
the image's diagonal, at least one pixel, counted inwards in 8-neighbour steps; the image's own edge is a contour too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.data.rle import mask_bbox

NEAR = 0.02  # of the diagonal

MaskArray = NDArray[np.bool_]


def boundary_width(height: int, width: int) -> int:
    """How many pixels deep the boundary of a mask in an image of this size is, at least 1."""
    return max(1, round(NEAR * float(np.hypot(height, width))))


def boundary_region(mask: MaskArray, depth: int) -> MaskArray:
    """The pixels of an (H, W) mask from which `depth` steps to a neighbour, corners included, can leave it.

    The same as the mask without its erosion by a square, `depth` times, with nothing beyond the image.
    """
    region = np.zeros_like(mask)
    if mask.any():
        x1, y1, x2, y2 = mask_bbox(mask)
        steps = ndimage.distance_transform_cdt(np.pad(mask[y1:y2, x1:x2], 1), metric="chessboard")[1:-1, 1:-1]
        region[y1:y2, x1:x2] = (steps > 0) & (steps <= depth)
    return region


def compare_boundaries(truth: MaskArray, prediction: MaskArray) -> tuple[int, int]:
    """Intersection and union of the two (H, W) masks' boundary regions, in pixels."""
    depth = boundary_width(*truth.shape)
    near_truth, near_prediction = boundary_region(truth, depth), boundary_region(prediction, depth)
    return int(np.count_nonzero(near_truth & near_prediction)), int(np.count_nonzero(near_truth | near_prediction))
