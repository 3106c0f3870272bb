"""From the table of samples to batches grouped by image, so that a model encodes each image once.

Files are decoded ahead of time in threads: the decoders let others run while they work. How many changes nothing but
the speed: batches come in one order, with the same contents, and the first bad sample in that order is the error.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.samples import Dataset, SampleError, decode_mask

Unit = Literal["images", "pairs"]
ALL = slice(None)
AHEAD = 2  # batches that are decoded before they are asked for

Rows = NDArray[np.intp]  # places in a split's table: a table for each image would take a hundred times the memory

# (H, W, 3) image, masks, sentences, random generator -> the same changed, and which of the samples are kept
Augment = Callable[
    [NDArray[np.uint8], Sequence[NDArray[np.bool_]], Sequence[str], np.random.Generator],
    tuple[NDArray[np.uint8], list[NDArray[np.bool_]], list[str], list[int]],
]


@dataclass(frozen=True)
class Batch:
    """B images and N samples of them; everything but `images` has one entry for each sample.

    images: uint8 (3, h, w), each at its own size · image_index: in [0, B) · masks: bool (h, w) at the image's own size.
    Of an augmented image all of it is as changed: pixels, size, texts and masks.
    spare: this process has no share in the batch, and is given another's so that it can keep step.
    """

    images: list[Tensor]
    texts: list[str]
    image_index: list[int]
    masks: list[NDArray[np.bool_]]
    sample_ids: list[str]
    image_ids: list[str]
    categories: list[str | None]
    spare: bool = False


def batches(
    dataset: Dataset,
    split: str,
    size: int,
    *,
    of: Unit = "images",
    shuffle: tuple[int, int] | None = None,
    expressions_per_image: int | None = None,
    augment: Augment | None = None,
    workers: int = 0,
    only: slice = ALL,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Every image of a split once, with its samples; or every sample once, an image as often as samples need it.

    Args:
        dataset, split: what to read.
        size: images, or pairs, a batch; the last batch may be smaller.
        of: what is counted and drawn. Pairs of one batch that share an image share its place in `images`.
        shuffle: (seed, epoch) from which the order is drawn; None keeps the table's.
        expressions_per_image: at most so many of an image's samples, drawn from (seed, epoch); needs `shuffle` and
            batches of images.
        augment: changes each image together with its samples, by what is drawn from (seed, epoch, image_id); needs
            `shuffle`.
        workers: threads that decode ahead; 0 decodes when a batch is asked for.
        only: which of the batches.
        share: (rank, of): of each batch every `of`-th unit from number `rank` on; a batch without such is `spare`.

    Raises:
        SampleError: the split names no samples, or an image cannot be read (never replaced by another); the sample is
            named.
        ValueError: `expressions_per_image` or `augment` without `shuffle`, which would draw the same every time, or
            `expressions_per_image` with batches of pairs, which take every sample.
    """
    if expressions_per_image is not None and (shuffle is None or of == "pairs"):
        raise ValueError(
            "expressions_per_image leaves samples out: give shuffle=(seed, epoch) to draw them, and batches of images"
        )
    if augment is not None and shuffle is None:
        raise ValueError("augment changes images at random: give shuffle=(seed, epoch) to draw how")
    rng = None if shuffle is None else np.random.default_rng(shuffle)
    samples = dataset.split(split)
    parts = (
        _parts_of_pairs(samples, size, rng, share)
        if of == "pairs"
        else _parts_of_images(samples, size, rng, expressions_per_image, share)
    )
    parts = parts[only]
    decode = partial(_decode, dataset, augment, shuffle, samples)
    if workers == 0:
        yield from (_batch([decode(rows) for rows in part.groups], part.spare) for part in parts)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[tuple[list[Future[_Decoded]], bool]] = deque()
    try:
        for part in parts:
            waiting.append(([pool.submit(decode, rows) for rows in part.groups], part.spare))
            if len(waiting) > AHEAD:
                yield _decoded(*waiting.popleft())
        while waiting:
            yield _decoded(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def count_batches(dataset: Dataset, split: str, size: int, of: Unit = "images") -> int:
    """How many batches `batches` makes of a split."""
    samples = dataset.split(split)
    return -(-(len(samples) if of == "pairs" else int(samples["image_id"].nunique())) // size)


def _by_image(images: pd.Series | NDArray[np.intp]) -> list[Rows]:
    """Of the image of each row, the rows of each image; the image that comes first first."""
    numbers, _ = pd.factorize(images)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)


class _Part(NamedTuple):
    """What one process has of a batch: samples, image by image."""

    groups: list[Rows]
    spare: bool


def _parts_of_images(
    samples: pd.DataFrame, size: int, rng: np.random.Generator | None, limit: int | None, share: tuple[int, int]
) -> list[_Part]:
    """The images of each batch; at most `limit` samples of each."""
    groups = _by_image(samples["image_id"])
    if rng is not None:
        groups = [groups[index] for index in rng.permutation(len(groups))]
        if limit is not None:
            groups = [rows[rng.permutation(len(rows))[:limit]] for rows in groups]
    wholes = [groups[first : first + size] for first in range(0, len(groups), size)]
    rank, of = share
    return [_Part(whole[rank::of] or whole[:1], len(whole) <= rank) for whole in wholes]


def _parts_of_pairs(
    samples: pd.DataFrame, size: int, rng: np.random.Generator | None, share: tuple[int, int]
) -> list[_Part]:
    """The pairs of each batch, those of an image together."""
    order = np.arange(len(samples)) if rng is None else rng.permutation(len(samples))
    images, _ = pd.factorize(samples["image_id"])
    rank, of = share
    parts = []
    for first in range(0, len(samples), size):
        whole = order[first : first + size]
        spare = len(whole) <= rank
        mine = whole[:1] if spare else whole[rank::of]
        parts.append(_Part([mine[rows] for rows in _by_image(images[mine])], spare))
    return parts


class _Decoded(NamedTuple):
    """An image (3, h, w) and its samples: their rows, and of each the text and the mask."""

    image: Tensor
    rows: pd.DataFrame
    texts: list[str]
    masks: list[NDArray[np.bool_]]


def _decode(
    dataset: Dataset, augment: Augment | None, shuffle: tuple[int, int] | None, samples: pd.DataFrame, places: Rows
) -> _Decoded:
    """The image of some samples, changed or as it is, and the mask of each."""
    rows = samples.iloc[places]
    try:
        image = dataset.pixels(rows["image"].iloc[0])
    except (SampleError, FileNotFoundError) as error:
        raise type(error)(f"sample '{rows['sample_id'].iloc[0]}': {error}") from error
    masks = [
        decode_mask(counts, height, width)
        for counts, height, width in zip(rows["mask"], rows["height"], rows["width"], strict=True)
    ]
    texts = rows["expression"].tolist()
    if augment is not None and shuffle is not None:
        digest = hashlib.sha256(str(rows["image_id"].iloc[0]).encode()).digest()
        rng = np.random.default_rng([*shuffle, int.from_bytes(digest[:8], "big")])
        image, masks, texts, kept = augment(image, masks, texts, rng)
        rows = rows.iloc[kept]
    return _Decoded(torch.from_numpy(image).permute(2, 0, 1).contiguous(), rows, texts, masks)


def _decoded(waiting: list[Future[_Decoded]], spare: bool) -> Batch:
    return _batch([future.result() for future in waiting], spare)


def _batch(decoded: list[_Decoded], spare: bool) -> Batch:
    samples = pd.concat([one.rows for one in decoded])
    return Batch(
        images=[one.image for one in decoded],
        texts=[text for one in decoded for text in one.texts],
        image_index=[index for index, one in enumerate(decoded) for _ in one.texts],
        masks=[mask for one in decoded for mask in one.masks],
        sample_ids=samples["sample_id"].tolist(),
        image_ids=samples["image_id"].tolist(),
        categories=[value if isinstance(value, str) else None for value in samples["category"]],
        spare=spare,
    )
