"""Frozen encoders that are asked once: what they make of an image or a text is kept and given again.

An encoder sees each image and each text alone, and its features are rounded to the precision they are kept in also when
they have just been computed. So what a model is given depends neither on the batch nor on what was kept before, and a
training has the same bytes with a full, an empty, a damaged and no cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from models.pixels import Encode


class Kept(Protocol):
    """Where features are kept."""

    def key(self, item: Tensor) -> str:
        """What an image or a row of token ids is known by: its content."""
        ...

    def read(self, key: str) -> Tensor | None:
        """The features of one; None where they are not known."""
        ...

    def write(self, key: str, features: Tensor) -> None:
        """Keep them, if there is room."""
        ...


class AskedOnce:
    """A Recall (models/pixels.py).

    Args:
        kept_as: the precision of features.
        kept: where they are kept; None: nowhere.
        alone: False shows an encoder each image twice at once and takes the first answer, where its sums for one image
            are ordered otherwise than for several (on a CPU, oneDNN's convolutions).
    """

    def __init__(self, kept_as: torch.dtype, kept: Kept | None, *, alone: bool = True) -> None:
        self._kept_as, self._kept, self._times = kept_as, kept, 1 if alone else 2

    def __call__(self, encode: Encode, items: Sequence[Tensor]) -> Tensor:
        found = [self._one(encode, item) for item in items]
        with torch.autocast("cpu", enabled=False):  # which stacks no float16
            return torch.stack(found)

    @torch.no_grad()
    def _one(self, encode: Encode, item: Tensor) -> Tensor:
        if self._kept is None:
            return self._asked(encode, item)
        key = self._kept.key(item)
        known = self._kept.read(key)
        if known is None:
            known = self._asked(encode, item).cpu()
            self._kept.write(key, known)
        return known

    def _asked(self, encode: Encode, item: Tensor) -> Tensor:
        return encode([item] * self._times)[0].to(self._kept_as)


class TextMemory:
    """Kept in memory; what was not asked for the longest is forgotten first.

    Args:
        size: bytes that features may take.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def key(self, item: Tensor) -> str:
        """The token ids."""
        return " ".join(map(str, item.tolist()))

    def read(self, key: str) -> Tensor | None:
        """As Kept."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def write(self, key: str, features: Tensor) -> None:
        """As Kept."""
        self._known[key] = features.clone()  # of a larger one it would hold all
        self._left -= features.nbytes
        while self._left < 0 and self._known:
            self._left += self._known.popitem(last=False)[1].nbytes
