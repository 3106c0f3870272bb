"""From the table of samples to batches grouped by image, so that a model encodes each image once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.samples import Dataset, decode_mask, read_image


@dataclass(frozen=True)
class Batch:
    """B images and N samples of them; everything but `images` has one entry for each sample.

    images: uint8 (3, h, w), each at its own size · image_index: in [0, B) · masks: bool (h, w) at the image's own size.
    """

    images: list[Tensor]
    texts: list[str]
    image_index: list[int]
    masks: list[NDArray[np.bool_]]
    sample_ids: list[str]
    image_ids: list[str]
    categories: list[str | None]


def batches(
    dataset: Dataset,
    split: str,
    batch_images: int,
    *,
    shuffle: tuple[int, int] | None = None,
    expressions_per_image: int | None = None,
) -> Iterator[Batch]:
    """Every image of a split once, with its samples.

    Args:
        dataset, split: what to read.
        batch_images: images a batch; the last batch may be smaller.
        shuffle: (seed, epoch) from which the order is drawn; None keeps the table's.
        expressions_per_image: at most so many of an image's samples, drawn from (seed, epoch); needs `shuffle`.

    Raises:
        SampleError: the split names no samples, or an image cannot be read (never replaced by another).
        ValueError: `expressions_per_image` without `shuffle`, which would leave out the same samples every time.
    """
    if expressions_per_image is not None and shuffle is None:
        raise ValueError("expressions_per_image leaves samples out: give shuffle=(seed, epoch) to draw them")
    groups = [rows for _, rows in dataset.split(split).groupby("image_id", sort=False)]
    if shuffle is not None:
        rng = np.random.default_rng(shuffle)
        groups = [groups[index] for index in rng.permutation(len(groups))]
        if expressions_per_image is not None:
            groups = [rows.iloc[rng.permutation(len(rows))[:expressions_per_image]] for rows in groups]
    for first in range(0, len(groups), batch_images):
        yield _batch(dataset, groups[first : first + batch_images])


def count_batches(dataset: Dataset, split: str, batch_images: int) -> int:
    """How many batches `batches` makes of a split."""
    return -(-int(dataset.split(split)["image_id"].nunique()) // batch_images)


def _batch(dataset: Dataset, groups: list[pd.DataFrame]) -> Batch:
    images = [read_image(dataset.folder / rows["image"].iloc[0]) for rows in groups]
    samples = pd.concat(groups)
    return Batch(
        images=[torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images],
        texts=samples["expression"].tolist(),
        image_index=[index for index, rows in enumerate(groups) for _ in range(len(rows))],
        masks=[
            decode_mask(counts, height, width)
            for counts, height, width in zip(samples["mask"], samples["height"], samples["width"], strict=True)
        ],
        sample_ids=samples["sample_id"].tolist(),
        image_ids=samples["image_id"].tolist(),
        categories=[value if isinstance(value, str) else None for value in samples["category"]],
    )
