"""Predictions painted over their image, the same way for every reader: evaluation, prediction and reports.

Green is what prediction and truth share, blue what the prediction misses, orange what it adds. The three are from the
palette of Okabe and Ito, which stays apart for every common kind of colour blindness.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmark.data.samples import SampleError, decode_mask
from benchmark.results.truth import load_examples

TRUE_POSITIVE = (0, 158, 115)
FALSE_NEGATIVE = (0, 114, 178)
FALSE_POSITIVE = (230, 159, 0)
LEGEND = {"found": TRUE_POSITIVE, "missed": FALSE_NEGATIVE, "added": FALSE_POSITIVE}

ImageArray = npt.NDArray[np.uint8]
MaskArray = npt.NDArray[np.bool_]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


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


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet and the line under it."""

    image: ImageArray
    caption: str = ""


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


def sheet(rows: Sequence[tuple[str, Sequence[Tile]]], side: int = 192) -> Image.Image:
    """Rows of captioned tiles under a title each, with the legend at the foot.

    Args:
        rows: (title, tiles); the rows may differ in length.
        side: pixels of a tile's longer side.

    Raises:
        ValueError: if there is no tile at all.
    """
    if not any(tiles for _, tiles in rows):
        raise ValueError("a sheet needs at least one tile")
    gap, line = 8, 18
    font = ImageFont.load_default(size=13)
    width = gap + max(len(tiles) for _, tiles in rows) * (side + gap)
    height = len(rows) * (side + 2 * line + gap) + line + 2 * gap
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    y = gap
    for title, tiles in rows:
        draw.text((gap, y), _shorten(title, width - 2 * gap, draw, font), fill="black", font=font)
        for column, tile in enumerate(tiles):
            x = gap + column * (side + gap)
            page.paste(ImageOps.contain(Image.fromarray(tile.image), (side, side)), (x, y + line))
            draw.text((x, y + line + side + 1), _shorten(tile.caption, side, draw, font), fill="black", font=font)
        y += side + 2 * line + gap
    x = gap
    for name, colour in LEGEND.items():
        draw.rectangle((x, y + 3, x + 10, y + 13), fill=colour)
        draw.text((x + 15, y), name, fill="black", font=font)
        x += 80
    return page


def predictions_sheet(examples: Sequence[Example]) -> Image.Image:
    """One row per example: image, truth, prediction with its IoU; the expression as title."""
    rows = []
    for example in examples:
        truth = overlay(example.image, example.truth, example.truth)
        prediction = overlay(example.image, example.truth, example.prediction)
        caption = f"prediction, IoU {example.iou:.2f}"
        rows.append(
            (example.expression, [Tile(example.image, "image"), Tile(truth, "truth"), Tile(prediction, caption)])
        )
    return sheet(rows)


def _shorten(text: str, width: int, draw: ImageDraw.ImageDraw, font: Font) -> str:
    """The text cut at its end so that it fits `width` pixels."""
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "..."
