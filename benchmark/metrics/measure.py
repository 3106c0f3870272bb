"""From masks to the per-sample table: a pure function of two tables of run-length codes, whoever predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from benchmark.data.rle import decode_mask
from benchmark.metrics.boundary import compare_boundaries
from benchmark.metrics.iou import BOUNDARY_COLUMNS, side_columns

MaskArray = npt.NDArray[np.bool_]
KEY_COLUMNS = ("sample_id", "image_id", "category")


@dataclass(frozen=True)
class Details:
    """What is measured of a sample beside its areas: the boundaries always, and the masks resized to side x side, for
    each of ``sides``. An evaluation also notes how the areas change with the threshold (benchmark/evaluator.py)."""

    sides: tuple[int, ...] = ()


def measure(
    samples: pd.DataFrame,
    predictions: pd.DataFrame,
    details: Details | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """The per-sample table (benchmark/metrics/iou.py), in the order of `samples`.

    Args:
        samples: rows of a dataset's table, or of results/<dataset>/truth.parquet.
        predictions: sample_id, prediction (COCO compressed RLE at the image's own size), one row for each sample.
        details: what else to measure; None: nothing, which is faster.
        progress: called after each sample with (samples done, samples in all).

    Raises:
        ValueError: a sample without a prediction, with two, or not among `samples`; a mask of another size.
    """
    predicted = dict(zip(predictions["sample_id"], predictions["prediction"], strict=True))
    different = set(samples["sample_id"]) ^ set(predicted)
    if different or len(predicted) < len(predictions):
        name = min(different or predictions.loc[predictions["sample_id"].duplicated(), "sample_id"])
        raise ValueError(f"sample {name!r}: give every sample one prediction, and no others")
    rows = []
    for done, sample in enumerate(samples.to_dict("records"), start=1):
        name, size = sample["sample_id"], (sample["height"], sample["width"])
        try:
            truth, prediction = decode_mask(sample["mask"], *size), decode_mask(predicted[name], *size)
        except ValueError as error:
            raise ValueError(f"sample {name!r}: {error}") from error
        row = {column: sample[column] for column in KEY_COLUMNS} | compare(truth, prediction)
        if details is not None:
            row |= compare_in_detail(truth, prediction, details.sides)
        rows.append(row)
        if progress is not None:
            progress(done, len(samples))
    return pd.DataFrame(rows)


def compare(truth: MaskArray, prediction: MaskArray) -> dict[str, int]:
    """Areas of two HxW masks in pixels: mask_area, predicted_area, intersection, union."""
    mask_area, predicted_area = int(np.count_nonzero(truth)), int(np.count_nonzero(prediction))
    intersection = int(np.count_nonzero(truth & prediction))
    return {
        "mask_area": mask_area,
        "predicted_area": predicted_area,
        "intersection": intersection,
        "union": mask_area + predicted_area - intersection,
    }


def compare_in_detail(truth: MaskArray, prediction: MaskArray, sides: Sequence[int] = ()) -> dict[str, int]:
    """Intersection and union of the boundaries, and of the masks resized (nearest) to each of the sides."""
    found = dict(zip(BOUNDARY_COLUMNS, compare_boundaries(truth, prediction), strict=True))
    for side in sides:
        small = [
            np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))
            for mask in (truth, prediction)
        ]
        counts = (int(np.count_nonzero(small[0] & small[1])), int(np.count_nonzero(small[0] | small[1])))
        found |= zip(side_columns(side), counts, strict=True)
    return found
