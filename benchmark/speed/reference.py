"""The plain way, written from the equations: what `make bench` compares with. Nothing is cached, nothing is shared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# metrics

Mask = NDArray[np.bool_]
Areas = tuple[int, int, int, int]  # mask_area, predicted_area, intersection, union, in pixels


def histogram_areas(truth: Mask, prediction: Mask) -> Areas:
    """Of two (H, W) masks, by histograms of the classes 0 and 1 over all pixels: of the label, of the prediction, and
    of the prediction where it is the label (mmsegmentation's intersect_and_union, there with torch.histc)."""
    label, found = truth.astype(np.uint8), prediction.astype(np.uint8)
    pixels = label, found, found[found == label]
    true, said, both = (int(np.histogram(values, bins=2, range=(0, 1))[0][1]) for values in pixels)
    return true, said, both, true + said - both


def confusion_areas(truth: Mask, prediction: Mask) -> Areas:
    """The same from the confusion matrix of all pixels (fast_hist of FCN's code, and what copies it)."""
    pairs = 2 * truth.ravel().astype(np.int64) + prediction.ravel()
    (_, added), (missed, both) = np.bincount(pairs, minlength=4).reshape(2, 2).tolist()
    return missed + both, added + both, both, missed + added + both


def pixel_areas(truth: Mask, prediction: Mask) -> Areas:
    """The same by logical operations on all pixels, as LAVT's code does."""
    both, either = int(np.sum(truth & prediction)), int(np.sum(truth | prediction))
    return int(np.sum(truth)), int(np.sum(prediction)), both, either


def boundary_region(mask: Mask, depth: int) -> Mask:
    """The pixels of an (H, W) mask from which `depth` steps to a neighbour, corners included, can leave it."""
    steps = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    region: Mask = (steps > 0) & (steps <= depth)
    return region


def resized(mask: Mask, side: int) -> Mask:
    """The mask at side x side, each pixel the nearest one's."""
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))


def pixel_details(truth: Mask, prediction: Mask, depth: int, sides: Sequence[int]) -> list[int]:
    """Intersection and union of the boundary regions, and of the masks at each of the sides."""
    pairs = [(boundary_region(truth, depth), boundary_region(prediction, depth))]
    pairs += [(resized(truth, side), resized(prediction, side)) for side in sides]
    return [value for pair in pairs for value in pixel_areas(*pair)[2:]]


def plain_interval(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], resamples: int, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a ratio of sums over images: draw them, gather, add up, and again."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(numerator), size=len(numerator))
        values.append(numerator[drawn].sum() / denominator[drawn].sum())
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
