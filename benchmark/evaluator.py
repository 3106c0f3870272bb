"""Predict a split at each image's own size, keep every mask, and measure what was hit.

Knows no model: anything with `predict` is measured. Nothing is resized here, nothing is skipped and nothing is caught:
a prediction of another size or type, or a sample without one, stops the evaluation with the sample's name.
"""

from __future__ import annotations

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
from benchmark.metrics.calibration import COLUMNS as SWEEP_COLUMNS
from benchmark.metrics.calibration import sweep_row
from benchmark.metrics.measure import Details, measure

SWEEP = SWEEP_COLUMNS[1:]  # beside the sample's name
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
    found = [] if journal is None else [_packed(entry) for entry in journal.entries]
    rounds = -(-count_batches(dataset, split, batch_images) // share.of)
    told = progress or (lambda done, total: None)
    mine = slice(share.rank + share.of * len(found), None, share.of)
    for batch in batches(dataset, split, batch_images, workers=workers, only=mine):
        entry = _predict(predictor, batch, details is not None, where)
        found.append(_packed(entry))
        if journal is not None:
            journal.add(entry)
        told(len(found), rounds)
    for _ in range(rounds - len(found)):  # others have a batch more
        if share.together:
            _predict(predictor, next(batches(dataset, split, batch_images)), details is not None, where)
        told(rounds, rounds)
    parts = share.gather(found)
    predict_seconds = max(sum(entry["seconds"] for entry in part) for part in parts)
    masks, sweep = _joined([entry for part in parts for entry in part], samples["sample_id"], where)
    for kept in (found, parts):  # measuring needs room too
        kept.clear()
    return Measured(measure(samples, masks, details), masks, sweep, predict_seconds)


def _packed(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a batch with its sweep as one array for each column: as lists of numbers it would take most of the
    memory of an evaluation."""
    sweep = {name: np.array([row[name] for row in entry["sweep"]]) for name in SWEEP if entry["sweep"]}
    return {**entry, "sweep": sweep}


def _joined(entries: list[dict[str, Any]], names: pd.Series, where: str) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The masks and the sweep of all samples, in the order of their names."""
    found = [sample_id for entry in entries for sample_id, _ in entry["masks"]]
    at = pd.Index(names).get_indexer(pd.Index(found, dtype=object))
    times = np.bincount(at, minlength=len(names))
    if (times > 1).any():
        raise ValueError(f"{where}: sample {names[int(np.argmax(times > 1))]!r} was evaluated twice")
    if (times == 0).any():
        missed = names[times == 0]
        raise ValueError(
            f"{where}: {len(missed)} of {len(names)} samples were never evaluated, for example {missed.iloc[0]!r}"
        )
    order = np.argsort(at)
    codes = [code for entry in entries for _, code in entry["masks"]]
    masks = pd.DataFrame({"sample_id": names, "prediction": [codes[place] for place in order]})
    swept = [entry["sweep"] for entry in entries if entry["sweep"]]
    if not swept:
        return masks, None
    columns = {name: np.concatenate([one[name] for one in swept])[order] for name in SWEEP}
    rows = {name: values if values.ndim == 1 else list(values) for name, values in columns.items()}
    return masks, pd.DataFrame({"sample_id": names, **rows})


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
