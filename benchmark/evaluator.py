"""Predict a split at each image's own size, keep every mask, and measure what was hit.

Knows no model: anything with `predict` is measured. Nothing is resized here, nothing is skipped and nothing is caught:
a prediction of another size or type, or a sample without one, stops the evaluation with the sample's name.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmark.data.loader import Batch, batches, count_batches
from benchmark.data.rle import encode_mask
from benchmark.data.samples import Dataset
from benchmark.journal import Journal
from benchmark.metrics.calibration import sweep_row
from benchmark.metrics.measure import Details, measure

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
class Share:
    """Which part of a split this process predicts: of the batches every `of`-th from number `rank` on.

    gather: makes the parts of all one list; every process calls it, and gets the same.
    together: no process can predict without the others, as where a model is split among them: those that have a batch
        less predict one for nothing.
    """

    rank: int = 0
    of: int = 1
    gather: Callable[[list[Any]], list[list[Any]]] = lambda part: [part]
    together: bool = False


ALL = Share()


@dataclass(frozen=True)
class Measured:
    """lines: the per-sample table, in the order of the split. masks: sample_id and prediction (COCO compressed RLE) of
    every sample, in the same order.

    sweep: the table of benchmark/metrics/calibration.py in the same order; None without Details or logits.
    predict_seconds: what the predictor took; of several processes the longest.
    """

    lines: pd.DataFrame
    masks: pd.DataFrame
    sweep: pd.DataFrame | None
    predict_seconds: float


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    *,
    batch_images: int = 8,
    details: Details | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 0,
    journal: Journal | None = None,
    share: Share = ALL,
) -> Measured:
    """Predict every sample of a split once and measure the masks.

    Args:
        predictor: see `Predictor`.
        dataset: with its images beside it.
        split: "train", "val" or "test".
        batch_images: images encoded at once; a speed setting that must not change any prediction.
        details: what else to measure; None: nothing, which is faster.
        progress: called after each batch with (batches done, batches in all), of this process; as often by each.
        workers: threads that decode images ahead; as `batch_images`.
        journal: keeps what each batch gave; those that it has are not predicted again. Of the same predictor, split,
            `batch_images`, `details` and `share`.
        share: this process's. Batches are those of one process, so predictions are too.

    Raises:
        ValueError: too few or too many predictions, a wrong size or type, a sample missed or met twice.
    """
    samples, where = dataset.split(split), f"{dataset.folder}, split {split!r}"
    found = [] if journal is None else list(journal.entries)
    rounds = -(-count_batches(dataset, split, batch_images) // share.of)
    told = progress or (lambda done, total: None)
    mine = slice(share.rank + share.of * len(found), None, share.of)
    for batch in batches(dataset, split, batch_images, workers=workers, only=mine):
        found.append(_predict(predictor, batch, details is not None, where))
        if journal is not None:
            journal.add(found[-1])
        told(len(found), rounds)
    for _ in range(rounds - len(found)):  # others have a batch more
        if share.together:
            _predict(predictor, next(batches(dataset, split, batch_images)), details is not None, where)
        told(rounds, rounds)
    parts = share.gather(found)
    masks: dict[str, str] = {}
    swept: dict[str, dict[str, object]] = {}
    for entry in itertools.chain(*parts):
        for sample_id, mask in entry["masks"]:
            if sample_id in masks:
                raise ValueError(f"{where}: sample {sample_id!r} was evaluated twice")
            masks[sample_id] = mask
        swept.update((str(row["sample_id"]), row) for row in entry["sweep"])
    predict_seconds = max(sum(entry["seconds"] for entry in part) for part in parts)
    if missed := [sample_id for sample_id in samples["sample_id"] if sample_id not in masks]:
        raise ValueError(
            f"{where}: {len(missed)} of {len(samples)} samples were never evaluated, for example {missed[0]!r}"
        )
    names = samples["sample_id"]
    table = pd.DataFrame({"sample_id": names, "prediction": [masks[name] for name in names]})
    sweep = pd.DataFrame([swept[name] for name in names]) if swept else None
    return Measured(measure(samples, table, details), table, sweep, predict_seconds)


def _predict(predictor: Predictor, batch: Batch, with_logits: bool, where: str) -> dict[str, Any]:
    """masks: sample_id and mask (COCO compressed RLE) of each sample. sweep: rows of benchmark/metrics/calibration.py,
    where there are logits and they are asked for. seconds: that the predictor took."""
    asked = batch.images, batch.texts, batch.image_index
    logits: Sequence[LogitArray] | None = None
    started = time.perf_counter()
    if with_logits and isinstance(predictor, LogitPredictor):
        logits = predictor.predict_logits(*asked)
        predictions: Sequence[object] = [values > 0 for values in logits]
    else:
        predictions = predictor.predict(*asked)
    seconds = time.perf_counter() - started
    if len(predictions) != len(batch.sample_ids):
        raise ValueError(
            f"{where}: the predictor gave {len(predictions)} masks for {len(batch.sample_ids)} samples (from "
            f"{batch.sample_ids[0]!r} on); it must give one per expression"
        )
    rows = [] if logits is None else zip(batch.sample_ids, batch.masks, logits, strict=True)
    return {
        "masks": [
            (sample_id, encode_mask(check_prediction(sample_id, truth, prediction)))
            for sample_id, truth, prediction in zip(batch.sample_ids, batch.masks, predictions, strict=True)
        ],
        "sweep": [sweep_row(sample_id, truth, values) for sample_id, truth, values in rows],
        "seconds": seconds,
    }


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
