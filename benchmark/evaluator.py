"""Predict a split at each image's own size and write down, per sample, what was hit.

Knows no model: anything with `predict` is measured. Nothing is resized here, nothing is skipped and nothing is caught:
a prediction of another size or type, or a sample without one, stops the evaluation with the sample's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from benchmark.data.loader import batches
from benchmark.data.samples import Dataset
from benchmark.metrics.boundary import compare_boundaries
from benchmark.metrics.calibration import sweep_row
from benchmark.metrics.iou import BOUNDARY_COLUMNS, side_columns

MaskArray = npt.NDArray[np.bool_]
LogitArray = npt.NDArray[np.float32]


class Predictor(Protocol):
    """What the benchmark measures."""

    def predict(self, images: list[torch.Tensor], texts: list[str], image_index: list[int]) -> Sequence[MaskArray]:
        """One mask per text.

        Args:
            images: uint8, 3xHxW, of any sizes, in [0, 255].
            texts: N expressions.
            image_index: N places in `images`: the image each text is about.

        Returns:
            N bool arrays, each HxW of its own image.
        """
        ...


@runtime_checkable
class LogitPredictor(Predictor, Protocol):
    """A predictor that also says how sure it is: its masks are where its logits are above 0."""

    def predict_logits(
        self, images: list[torch.Tensor], texts: list[str], image_index: list[int]
    ) -> Sequence[LogitArray]:
        """As `predict`: N float32 arrays, each HxW of its own image, any finite values."""
        ...


@dataclass(frozen=True)
class Details:
    """What is measured of a sample beside its areas. The boundary always; the masks resized to side x side, for each
    of ``sides``; and how the areas change with the threshold, of a LogitPredictor."""

    sides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Measured:
    """lines: the per-sample table in the order of the split. masks: sample_id -> HxW bool of those to keep.

    sweep: calibration.py's table in the same order; None without Details or logits. predict_seconds: what the
    predictor took; None where masks came from elsewhere.
    """

    lines: pd.DataFrame
    masks: dict[str, MaskArray]
    sweep: pd.DataFrame | None = None
    predict_seconds: float | None = None


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    *,
    batch_images: int = 8,
    keep: AbstractSet[str] = frozenset(),
    details: Details | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 0,
) -> Measured:
    """Measure a predictor on a split.

    Args:
        predictor: see `Predictor`.
        dataset: with its images beside it.
        split: "train", "val" or "test".
        batch_images: images encoded at once; a speed setting that must not change any prediction.
        keep: sample_ids whose predicted masks are wanted back.
        details: what else to measure; None: nothing, which is faster.
        progress: called after each batch with (samples done, samples in all).
        workers: threads that decode images ahead; as `batch_images`.

    Raises:
        ValueError: too few or too many predictions, a wrong size or type, a sample missed or met twice, or a `keep`
            that is not in the split.
    """
    samples = dataset.split(split)
    if strangers := sorted(keep - set(samples["sample_id"])):
        raise ValueError(f"{dataset.folder}: sample {strangers[0]!r} is to be kept but is not in split {split!r}")
    rows: dict[str, dict[str, int]] = {}
    masks: dict[str, MaskArray] = {}
    swept: dict[str, dict[str, object]] = {}
    predict_seconds = 0.0
    for batch in batches(dataset, split, batch_images, workers=workers):
        asked = batch.images, batch.texts, batch.image_index
        logits: Sequence[LogitArray] | None = None
        started = time.perf_counter()
        if details is not None and isinstance(predictor, LogitPredictor):
            logits = predictor.predict_logits(*asked)
            predictions: Sequence[object] = [values > 0 for values in logits]
        else:
            predictions = predictor.predict(*asked)
        predict_seconds += time.perf_counter() - started
        if len(predictions) != len(batch.sample_ids):
            raise ValueError(
                f"{dataset.folder}, split {split!r}: the predictor gave {len(predictions)} masks for "
                f"{len(batch.sample_ids)} samples (from {batch.sample_ids[0]!r} on); it must give one per expression"
            )
        for place, (sample_id, truth, prediction) in enumerate(
            zip(batch.sample_ids, batch.masks, predictions, strict=True)
        ):
            if sample_id in rows:
                raise ValueError(f"{dataset.folder}, split {split!r}: sample {sample_id!r} was evaluated twice")
            checked = check_prediction(sample_id, truth, prediction)
            rows[sample_id] = compare(truth, checked)
            if details is not None:
                rows[sample_id] |= compare_in_detail(truth, checked, details.sides)
            if logits is not None:
                swept[sample_id] = sweep_row(sample_id, truth, logits[place])
            if sample_id in keep:
                masks[sample_id] = checked
        if progress is not None:
            progress(len(rows), len(samples))
    if missed := [sample_id for sample_id in samples["sample_id"] if sample_id not in rows]:
        raise ValueError(
            f"{dataset.folder}, split {split!r}: {len(missed)} of {len(samples)} samples were never evaluated, "
            f"for example {missed[0]!r}"
        )
    measured = pd.DataFrame([rows[sample_id] for sample_id in samples["sample_id"]])
    lines = pd.concat([samples[["sample_id", "image_id", "category"]].reset_index(drop=True), measured], axis=1)
    sweep = pd.DataFrame([swept[sample_id] for sample_id in samples["sample_id"]]) if swept else None
    return Measured(lines, masks, sweep, predict_seconds)


def check_prediction(sample_id: str, truth: MaskArray, prediction: object) -> MaskArray:
    """The prediction, which comes from outside.

    Raises:
        ValueError: it is not a bool array of the truth's size.
    """
    if not isinstance(prediction, np.ndarray) or prediction.dtype != np.bool_:
        kind = getattr(prediction, "dtype", type(prediction).__name__)
        raise ValueError(f"sample {sample_id!r}: the prediction is {kind}, it must be a numpy array of bool")
    if prediction.shape != truth.shape:
        raise ValueError(
            f"sample {sample_id!r}: the prediction is {prediction.shape}, its image is {truth.shape}; "
            "predictions are measured at the image's own size"
        )
    return prediction


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
