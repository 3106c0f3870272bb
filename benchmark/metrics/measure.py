"""From masks to the per-sample table: a pure function of two tables of run-length codes, whoever predicted.

Nothing is decoded to pixels, and what is held is the table: many masks of one size are measured at once, as spans
(benchmark/data/spans.py), and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.data.rle import together
from benchmark.data.spans import area, area_resized, read_spans, shared, stride
from benchmark.metrics.boundary import boundary_gap, compare_boundaries
from benchmark.metrics.iou import BOUNDARY_COLUMNS, side_columns

KEY_COLUMNS = ("sample_id", "image_id", "category")
AREA_COLUMNS = ("mask_area", "predicted_area", "intersection", "union")

Counts = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Details:
    """What is measured of a sample beside its areas: the boundaries always, and the masks resized to side x side, for
    each of ``sides``. An evaluation also notes how the areas change with the threshold (benchmark/evaluator.py)."""

    sides: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Where the per-sample table has it."""
        return (*BOUNDARY_COLUMNS, *(name for side in self.sides for name in side_columns(side)))


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
        progress: called now and then with (samples done, samples in all), last with all of them.

    Raises:
        ValueError: a sample without a prediction, with two, or not among `samples`; a mask of another size.
    """
    at = _places(samples["sample_id"], predictions["sample_id"])
    columns = (*AREA_COLUMNS, *(() if details is None else details.columns))
    table = {name: np.zeros(len(samples), np.int64) for name in columns}
    done = 0
    for rows, (height, width) in _parts(samples, predictions, at):
        truth, predicted = samples["mask"].iloc[rows].tolist(), predictions["prediction"].iloc[at[rows]].tolist()
        try:
            counts = count(truth, predicted, height, width, details)
        except ValueError:
            _check_each(samples["sample_id"].iloc[rows].tolist(), truth, predicted, height, width)
            raise
        for name, values in counts.items():
            table[name][rows] = values
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    return pd.DataFrame({name: samples[name].tolist() for name in KEY_COLUMNS} | table)


def count(
    truth: Sequence[str], predicted: Sequence[str], height: int, width: int, details: Details | None = None
) -> Counts:
    """Pixels of some pairs of masks of one size, COCO compressed RLE: AREA_COLUMNS, and those of the details.

    Raises:
        ValueError: a code that is none or of another size; the first is described, not the pair.
    """
    masks, gap = len(truth), 1 if details is None else boundary_gap(height, width)
    distance = stride(height, width, gap)
    one, other = read_spans(truth, height, width, gap), read_spans(predicted, height, width, gap)
    both = shared(one, other)
    areas = [area(spans, masks, distance) for spans in (one, other, both)]
    found = dict(zip(AREA_COLUMNS, (*areas, areas[0] + areas[1] - areas[2]), strict=True))
    if details is not None:
        found |= zip(BOUNDARY_COLUMNS, compare_boundaries(one, other, masks, height, width), strict=True)
        for side in details.sides:
            small = [area_resized(spans, masks, height, width, gap, side) for spans in (one, other, both)]
            found |= zip(side_columns(side), (small[2], small[0] + small[1] - small[2]), strict=True)
    return found


def _places(samples: pd.Series, predictions: pd.Series) -> npt.NDArray[np.intp]:
    """Which prediction each sample has."""
    known = pd.Index(predictions)
    at = known.get_indexer(pd.Index(samples)) if known.is_unique else np.array([-1])
    if (at < 0).any() or len(np.unique(at)) < len(known):
        different = set(samples) ^ set(predictions)
        name = min(different or predictions[predictions.duplicated()])
        raise ValueError(f"sample {name!r}: give every sample one prediction, and no others")
    return at


def _parts(
    samples: pd.DataFrame, predictions: pd.DataFrame, at: npt.NDArray[np.intp]
) -> Iterator[tuple[npt.NDArray[np.intp], tuple[int, int]]]:
    """Rows of images of one size whose masks are measured together."""
    characters = samples["mask"].str.len().to_numpy() + predictions["prediction"].str.len().to_numpy()[at]
    sizes = characters + samples["width"].to_numpy()  # a span may go through every column
    shapes, kind = np.unique(samples[["height", "width"]].to_numpy(np.int64), axis=0, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        height, width = shapes[kind[rows[0]]].tolist()
        for part in together(sizes[rows].tolist()):
            yield rows[part], (height, width)


def _check_each(names: list[str], truth: list[str], predicted: list[str], height: int, width: int) -> None:
    """Raise ValueError for the first sample with a mask that is none or of another size."""
    for name, *codes in zip(names, truth, predicted, strict=True):
        try:
            read_spans(codes, height, width)
        except ValueError as error:
            raise ValueError(f"sample {name!r}: {error}") from error
