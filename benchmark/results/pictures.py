"""Predictions painted over their image, the same way for every reader: evaluation, prediction and reports.

Green is what prediction and truth share, blue what the prediction misses, orange what it adds. The three are from the
palette of Okabe and Ito, which stays apart for every common kind of colour blindness.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from benchmark.data.samples import SampleError, decode_mask
from benchmark.results.truth import load_examples

TRUE_POSITIVE = (0, 158, 115)
FALSE_NEGATIVE = (0, 114, 178)
FALSE_POSITIVE = (230, 159, 0)
LEGEND = {"found": TRUE_POSITIVE, "missed": FALSE_NEGATIVE, "added": FALSE_POSITIVE}

ImageArray = npt.NDArray[np.uint8]
MaskArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """A test sample with what was predicted: image HxWx3 in [0, 255], truth and prediction HxW."""

    sample_id: str
    expression: str
    image: ImageArray
    truth: MaskArray
    prediction: MaskArray

    @property
    def iou(self) -> float:
        """In [0, 1]; 1 if both masks are empty."""
        union = int((self.truth | self.prediction).sum())
        return int((self.truth & self.prediction).sum()) / union if union else 1.0


def read_examples(path: Path, predictions: pd.DataFrame) -> list[Example]:
    """The dataset's examples with a run's predictions, in the order of the file.

    Args:
        path: results/<dataset>/examples.parquet.
        predictions: sample_id, prediction (COCO compressed RLE).

    Raises:
        FileNotFoundError: if the file is missing.
        SampleError: if an example has no prediction.
    """
    predicted = dict(zip(predictions["sample_id"], predictions["prediction"], strict=True))
    found = []
    for row in load_examples(path).to_dict("records"):
        sample_id = str(row["sample_id"])
        if sample_id not in predicted:
            raise SampleError(f"{path}: example {sample_id!r} was not predicted; evaluate the run on this data again")
        found.append(to_example({**row, "prediction": predicted[sample_id]}))
    return found


def to_example(row: Mapping[Any, Any]) -> Example:
    """An example of a row: sample_id, expression, height, width, image (JPEG bytes), mask and prediction (RLE)."""
    image = np.array(Image.open(io.BytesIO(row["image"]), formats=("JPEG",)).convert("RGB"))
    truth, prediction = (decode_mask(row[name], row["height"], row["width"]) for name in ("mask", "prediction"))
    return Example(row["sample_id"], row["expression"], image, truth, prediction)


def overlay(image: ImageArray, truth: MaskArray, prediction: MaskArray, opacity: float = 0.6) -> ImageArray:
    """Paint true positives green, false negatives blue and false positives orange.

    Args:
        image: HxWx3, in [0, 255].
        truth, prediction: HxW.
        opacity: of the colours, in [0, 1]; the image shows through in grey.

    Returns:
        HxWx3, a new array.

    Raises:
        ValueError: if the three do not have the same height and width.
    """
    if not image.shape[:2] == truth.shape == prediction.shape:
        sizes = f"image {image.shape[:2]}, truth {truth.shape}, prediction {prediction.shape}"
        raise ValueError(f"{sizes} differ in size; give all three at the image's own size")
    painted = (image * 0.7).astype(np.uint8)  # dimmed, so that the colours stand out on bright ground
    grey = image.mean(axis=2, keepdims=True)  # under the colours, so that they keep their hue on coloured ground
    for where, colour in (
        (truth & prediction, TRUE_POSITIVE),
        (truth & ~prediction, FALSE_NEGATIVE),
        (prediction & ~truth, FALSE_POSITIVE),
    ):
        painted[where] = (grey[where] * (1 - opacity) + np.array(colour) * opacity).astype(np.uint8)
    return painted


def strip(example: Example) -> ImageArray:
    """Image, truth and prediction of an example side by side."""
    truth = overlay(example.image, example.truth, example.truth)
    return np.hstack([example.image, truth, overlay(example.image, example.truth, example.prediction)])
