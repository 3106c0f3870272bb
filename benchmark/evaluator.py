"""Predict a split at each image's own size and write down, per sample, what was hit.

Knows no model: anything with `predict` is measured. Nothing is resized here, nothing is skipped and nothing is caught:
a prediction of another size or type, or a sample without one, stops the evaluation with the sample's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmark.loader import batches
from benchmark.metrics import LINE_COLUMNS
from benchmark.samples import Dataset

MaskArray = npt.NDArray[np.bool_]


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


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    *,
    batch_images: int = 8,
    keep: AbstractSet[str] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
    workers: int = 0,
) -> tuple[pd.DataFrame, dict[str, MaskArray]]:
    """Measure a predictor on a split.

    Args:
        predictor: see `Predictor`.
        dataset: with its images beside it.
        split: "train", "val" or "test".
        batch_images: images encoded at once; a speed setting that must not change any prediction.
        keep: sample_ids whose predicted masks are wanted back.
        progress: called after each batch with (samples done, samples in all).
        workers: threads that decode images ahead; as `batch_images`.

    Returns:
        (lines, masks): the per-sample table in the order of the split, and sample_id -> HxW bool for `keep`.

    Raises:
        ValueError: too few or too many predictions, a wrong size or type, a sample missed or met twice, or a `keep`
            that is not in the split.
    """
    samples = dataset.split(split)
    if strangers := sorted(keep - set(samples["sample_id"])):
        raise ValueError(f"{dataset.folder}: sample {strangers[0]!r} is to be kept but is not in split {split!r}")
    rows: dict[str, dict[str, int]] = {}
    masks: dict[str, MaskArray] = {}
    for batch in batches(dataset, split, batch_images, workers=workers):
        predictions = predictor.predict(batch.images, batch.texts, batch.image_index)
        if len(predictions) != len(batch.sample_ids):
            raise ValueError(
                f"{dataset.folder}, split {split!r}: the predictor gave {len(predictions)} masks for "
                f"{len(batch.sample_ids)} samples (from {batch.sample_ids[0]!r} on); it must give one per expression"
            )
        for sample_id, truth, prediction in zip(batch.sample_ids, batch.masks, predictions, strict=True):
            if sample_id in rows:
                raise ValueError(f"{dataset.folder}, split {split!r}: sample {sample_id!r} was evaluated twice")
            rows[sample_id] = compare(sample_id, truth, prediction)
            if sample_id in keep:
                masks[sample_id] = prediction
        if progress is not None:
            progress(len(rows), len(samples))
    if missed := [sample_id for sample_id in samples["sample_id"] if sample_id not in rows]:
        raise ValueError(
            f"{dataset.folder}, split {split!r}: {len(missed)} of {len(samples)} samples were never evaluated, "
            f"for example {missed[0]!r}"
        )
    measured = pd.DataFrame([rows[sample_id] for sample_id in samples["sample_id"]])
    lines = pd.concat([samples[["sample_id", "image_id", "category"]].reset_index(drop=True), measured], axis=1)
    return lines[list(LINE_COLUMNS)], masks


def compare(sample_id: str, truth: MaskArray, prediction: object) -> dict[str, int]:
    """Areas of one sample in pixels: mask_area, predicted_area, intersection, union.

    Args:
        sample_id: named in errors.
        truth: HxW.
        prediction: HxW bool; checked, since it comes from outside.

    Raises:
        ValueError: if the prediction is not a bool array of the truth's size.
    """
    if not isinstance(prediction, np.ndarray) or prediction.dtype != np.bool_:
        kind = getattr(prediction, "dtype", type(prediction).__name__)
        raise ValueError(f"sample {sample_id!r}: the prediction is {kind}, it must be a numpy array of bool")
    if prediction.shape != truth.shape:
        raise ValueError(
            f"sample {sample_id!r}: the prediction is {prediction.shape}, its image is {truth.shape}; "
            "predictions are measured at the image's own size"
        )
    mask_area, predicted_area = int(np.count_nonzero(truth)), int(np.count_nonzero(prediction))
    intersection = int(np.count_nonzero(truth & prediction))
    return {
        "mask_area": mask_area,
        "predicted_area": predicted_area,
        "intersection": intersection,
        "union": mask_area + predicted_area - intersection,
    }
