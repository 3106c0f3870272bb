"""Training augmentation: an image with its masks and sentences, changed together so that every sentence stays true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.augmentation.colour import jitter
from benchmark.augmentation.directions import allowed, rewrite
from benchmark.augmentation.scale import rescale
from benchmark.augmentation.symmetry import FLIPS, IDENTITY, ROTATIONS, SYMMETRIES, Symmetry

AUGMENTATIONS = ("flip", "turn", "colour", "scale")


class Augmented(NamedTuple):
    """image: (H, W, 3) uint8, its size may have changed. masks, sentences: of the samples that are `kept`, indices into
    those that came, ascending; at least one is."""

    image: NDArray[np.uint8]
    masks: list[NDArray[np.bool_]]
    sentences: list[str]
    kept: list[int]


class Augmentation:
    """Some of AUGMENTATIONS, whatever their order: scale first, then flip and turn, then colour.

    flip, turn: one symmetry is drawn of those that flips (turns, both together) make and that all of the image's
    sentences allow, each as likely. Raises ValueError for an unknown name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in AUGMENTATIONS:
                raise ValueError(f"unknown augmentation {name!r}; known: {', '.join(AUGMENTATIONS)}")
        self.names = frozenset(names)
        self._symmetries: Sequence[Symmetry] = (IDENTITY,)
        if "flip" in names:
            self._symmetries = SYMMETRIES if "turn" in names else FLIPS
        elif "turn" in names:
            self._symmetries = ROTATIONS

    def __call__(
        self,
        image: NDArray[np.uint8],
        masks: Sequence[NDArray[np.bool_]],
        sentences: Sequence[str],
        rng: np.random.Generator,
    ) -> Augmented:
        """One image (H, W, 3) with its samples' masks (H, W) and sentences; the same rng state, the same result."""
        masks, kept = list(masks), list(range(len(sentences)))
        if "scale" in self.names:
            image, masks, kept = rescale(image, masks, sentences, rng)
        said = [sentences[index] for index in kept]
        free = [symmetry for symmetry in self._symmetries if all(symmetry in allowed(text) for text in said)]
        symmetry = free[int(rng.integers(len(free)))]
        image, masks = symmetry.pixels(image), [symmetry.pixels(mask) for mask in masks]
        if "colour" in self.names:
            image = jitter(image, rng)
        return Augmented(image, masks, [rewrite(text, symmetry) for text in said], kept)
