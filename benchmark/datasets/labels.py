"""Colour-coded masks: from the pixels of a file to labels of classes, and what colours there are."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from benchmark.data.images import read_image

logger = logging.getLogger(__name__)
BACKGROUND = 255  # in labels, where 0 is a colour that is not listed


def _colour(value: object) -> object:
    """ "#3C1098" -> 0x3C1098; everything else is left to be refused."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        return int(value[1:], 16)
    if isinstance(value, str):
        raise ValueError('write a colour as "#3C1098", with quotes')
    return value


Colour = Annotated[int, BeforeValidator(_colour), Field(ge=0, le=0xFFFFFF)]


def read_colours(path: Path) -> NDArray[np.int32]:
    """(H, W) 0xRRGGBB. Palette and RGB files read the same."""
    red, green, blue = np.moveaxis(read_image(path).astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def to_labels(
    colours: NDArray[np.int32], classes: Mapping[str, int], background: Sequence[int] = ()
) -> NDArray[np.uint8]:
    """(H, W): 1 + the index in ``classes``, BACKGROUND, or 0 for pixels whose colour is not listed."""
    labels = np.zeros(colours.shape, np.uint8)
    for index, colour in enumerate(classes.values(), start=1):
        labels[colours == colour] = index
    for colour in background:
        labels[colours == colour] = BACKGROUND
    return labels


@dataclass
class Met:
    """What is in the masks: pixels of each class (by its label), and of each colour that is not listed."""

    classes: Counter[int] = field(default_factory=Counter)
    unlisted: Counter[int] = field(default_factory=Counter)
    images: int = 0  # with colours that are not listed

    def add(self, colours: NDArray[np.int32], labels: NDArray[np.uint8]) -> None:
        """Count the pixels of one image."""
        self.classes.update(dict(enumerate(np.bincount(labels.ravel(), minlength=BACKGROUND + 1).tolist())))
        values, counts = np.unique(colours[labels == 0], return_counts=True)
        self.unlisted.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.images += bool(values.size)

    def tell(self, name: str, classes: Mapping[str, int]) -> None:
        """Log colours that no class has, and classes that no mask has."""
        if self.unlisted:
            common = [f"#{colour:06X} ({count:,})" for colour, count in self.unlisted.most_common(5)]
            logger.warning(
                f"{name}: {self.unlisted.total():,} pixels of {self.images:,} images have colours that are not listed: "
                f"{', '.join(common)}{' ...' * (len(self.unlisted) > 5)}. They belong to nothing, and nothing is said "
                "to be absent in a patch with one; what is surely none of the classes can be listed in "
                f"datasets.{name}.background"
            )
        lone = [f"{c} #{classes[c]:06X}" for k, c in enumerate(classes, 1) if not self.classes[k]]
        if lone:
            logger.warning(f"{name}: no mask has a pixel of {', '.join(lone)}")
