"""The plain way, written from the equations: what `make bench` compares with. Nothing is cached, nothing is shared.

It takes any model with the project's contract (`predict(images, texts, image_index)`, experiments/training/step.py's
batches), for the benchmark knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # what measures metrics needs no torch, whose memory would be counted with it
    from torch import Tensor

    from benchmark.data.loader import Batch
    from benchmark.evaluator import Predictor

# models


def predict_pairs(
    model: Predictor, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int], size: int
) -> list[NDArray[np.bool_]]:
    """One mask per text, from batches of `size` pairs of image and expression: an image is encoded for each of its
    expressions. Arguments as of Predictor.predict."""
    masks: list[NDArray[np.bool_]] = []
    for first in range(0, len(texts), size):
        part = slice(first, first + size)
        pairs = [images[index] for index in image_index[part]]
        masks.extend(model.predict(pairs, list(texts[part]), list(range(len(pairs)))))
    return masks


def as_pairs(batch: Batch) -> Batch:
    """The same samples to learn from, an image for each of them."""
    images = [batch.images[index] for index in batch.image_index]
    return replace(batch, images=images, image_index=list(range(len(images))))


class PaddedPerBatch:
    """A tokenizer whose texts are as long as the longest beside them, instead of one length for all.

    Less to compute, and what comes out for an expression depends on its neighbours (docs/model.md).

    Args:
        tokens: texts -> ids (N, T) and which of them are the text's (N, T), padded on the right to a fixed length.
    """

    def __init__(self, tokens: Callable[[Sequence[str]], tuple[Tensor, Tensor]]) -> None:
        self.tokens = tokens

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Both (N, the longest text's)."""
        ids_NT, mask_NT = self.tokens(texts)
        longest = int(mask_NT.sum(1).max())
        return ids_NT[:, :longest], mask_NT[:, :longest]


# metrics
