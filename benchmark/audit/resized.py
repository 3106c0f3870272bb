"""Images that are resized to their masks (benchmark/data/fitting.py), and whether the masks bear that out.

An object's outline is where an image changes. So of the two ways to bring an image to its mask's size, stretched or cut
and padded, the one along whose mask contours the image changes more is the one the masks were probably made on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.findings import Case, Facts, Finding, Occurrence, finding
from benchmark.data.errors import SampleError
from benchmark.data.fitting import Fit, cut_or_padded, fitted
from benchmark.data.images import read_image
from benchmark.data.rle import decode_mask
from benchmark.data.samples import Dataset


def resized(measured: Facts, dataset: Dataset) -> Finding:
    """Every image that the manifest names, with the contrast along its masks' contours by either rule."""
    cases: list[Case] = []
    for image, fit in dataset.manifest.fitted.items():
        rows = measured.samples[measured.samples["image"] == image]
        detail = f"{fit.text()} (height x width)"
        if not measured.images[image].fault:
            detail += f"; {_compared(dataset, image, fit, rows)}"
        cases.append((0.0, Occurrence((), (image,), detail)))
    rule = (
        "The image has another size than its annotation and is resized to it wherever it is read. Contrast: mean "
        "difference of grey levels (0 to 255) from pixel to pixel along the contours of its masks; the higher, the "
        "better an image fits them."
    )
    return finding("images resized to their masks", rule, "images", len(measured.images), cases)


def _compared(dataset: Dataset, image: str, fit: Fit, rows: pd.DataFrame) -> str:
    try:
        pixels = read_image(dataset.images / image)
    except (SampleError, FileNotFoundError):  # it went away since it was measured
        return "contrast not measured"
    masks = [decode_mask(code, *fit.wanted) for code in rows["mask"]]
    ways: Mapping[str, NDArray[np.uint8]] = {
        "resized": fitted(pixels, fit.wanted),
        "cut or padded": cut_or_padded(pixels, fit.wanted),
    }
    found = {name: [contrast(way, mask) for mask in masks] for name, way in ways.items()}
    return "contrast " + ", ".join(f"{np.mean(values):.1f} {name}" for name, values in found.items())


def contrast(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Mean length of the grey levels' gradient over a mask's pixels that touch its outside; 0 where there are none.

    Where a mask is cut by the image's border it has no contour.
    """
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    contour = mask & ~inner
    if not contour.any() or min(mask.shape) < 2:
        return 0.0
    down, right = np.gradient(pixels.mean(axis=-1))
    return float(np.hypot(down, right)[contour].mean())
