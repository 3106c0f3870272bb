"""Masks of classes: from the pixels of a file to labels of classes, by colours or by values, and what else there is."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from benchmark.data.errors import SampleError
from benchmark.data.images import read_labels
from benchmark.data.images.labels import NO_LABEL

logger = logging.getLogger(__name__)
SHADELESS = "values that are no shade of grey (NaN, below 0, above 255: these whole numbers in classes can name)"
BACKGROUND = 255  # in labels, where 0 is a colour or value that is not listed


def _marker(value: object) -> object:
    """ "#3c1098" -> "#3C1098"; whole numbers stay, everything else is left to be refused."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        return value.upper()
    if isinstance(value, str | bool):
        raise ValueError('write a colour as "#3C1098", with quotes, or the value of a label as a whole number')
    return value


Marker = Annotated[str | Annotated[int, Field(ge=0, le=0xFFFFFF)], BeforeValidator(_marker)]  # of a class in a mask


def by_value(markers: Iterable[Marker]) -> bool:
    """Whether classes are told by the values of a mask's one band, or indices into its palette, not by colours."""
    return any(isinstance(marker, int) for marker in markers)


def shown(marker: Marker) -> str:
    """A marker in a message."""
    return f"value {marker}" if isinstance(marker, int) else f"colour {marker}"


class Codes(NamedTuple):
    """Of a mask's file. codes: (H, W) values as stored, or 0xRRGGBB. known, orientation: as of LabelImage."""

    codes: NDArray[Any]
    known: NDArray[np.bool_] | None
    orientation: int


def read_codes(path: Path, values: bool) -> Codes:
    """The codes of a mask.

    Raises SampleError as read_labels(), and for a file in colour that is to be told by values.
    """
    labels = read_labels(path)
    if not values:
        return Codes(labels.colours, labels.known, labels.orientation)
    if labels.values is None:
        raise SampleError(f'mask {path} is in colour, and classes gives whole numbers; give colours: "#RRGGBB"')
    return Codes(labels.values, labels.known, labels.orientation)


def to_labels(
    codes: NDArray[Any], classes: Mapping[str, Marker], background: Sequence[Marker] = ()
) -> NDArray[np.uint8]:
    """(H, W): 1 + the index in ``classes``, BACKGROUND, or 0 for pixels whose colour or value is not listed."""
    labels = np.zeros(codes.shape, np.uint8)
    for index, marker in enumerate(classes.values(), start=1):
        labels[codes == _code(marker)] = index
    for marker in background:
        labels[codes == _code(marker)] = BACKGROUND
    return labels


def _code(marker: Marker) -> int:
    return marker if isinstance(marker, int) else int(marker[1:], 16)


@dataclass
class Met:
    """What is in the masks: pixels of each class (by its label), and of each colour or value that is not listed."""

    values: bool
    classes: Counter[int] = field(default_factory=Counter)
    unlisted: Counter[int] = field(default_factory=Counter)
    images: int = 0  # with colours or values that are not listed
    hidden: Counter[str] = field(default_factory=Counter)  # pixels of classes that have no data, and in how many images

    def hide(self, labels: NDArray[np.uint8], known: NDArray[np.bool_] | None) -> None:
        """Take the classes off pixels that have no data, and count them."""
        lost = None if known is None else ~known & (labels != BACKGROUND) & (labels != 0)
        if lost is not None and lost.any():
            labels[lost] = 0
            self.hidden.update(pixels=int(lost.sum()), images=1)

    def add(self, codes: NDArray[Any], labels: NDArray[np.uint8]) -> None:
        """Count the pixels of one image."""
        self.classes.update(dict(enumerate(np.bincount(labels.ravel(), minlength=BACKGROUND + 1).tolist())))
        found, counts = np.unique(codes[labels == 0], return_counts=True)
        self.unlisted.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        self.images += bool(found.size)

    def tell(self, name: str, classes: Mapping[str, Marker]) -> None:
        """Log colours or values that no class has, and classes that no mask has."""
        if self.unlisted:
            common = [f"{self._shown(code)} ({count:,})" for code, count in self.unlisted.most_common(5)]
            logger.warning(
                f"{name}: {self.unlisted.total():,} pixels of {self.images:,} images have "
                f"{'values' if self.values else 'colours'} that are not listed: "
                f"{', '.join(common)}{' ...' * (len(self.unlisted) > 5)}. They belong to nothing, and nothing is said "
                "to be absent in a patch with one; what is surely none of the classes can be listed in "
                f"datasets.{name}.background"
            )
        if self.hidden:
            logger.warning(
                f"{name}: {self.hidden['pixels']:,} pixels of classes in {self.hidden['images']:,} images have no data "
                "in the image or in its mask (transparent, masked, a no-data value) and belong to nothing; if a class "
                "has the mask's no-data value, take that off: gdal_edit.py -unsetnodata MASK"
            )
        lone = [f"{c} {classes[c]}" for k, c in enumerate(classes, 1) if not self.classes[k]]
        if lone:
            logger.warning(f"{name}: no mask has a pixel of {', '.join(lone)}")

    def _shown(self, code: int) -> str:
        if self.values:
            return "NaN" if code == NO_LABEL else str(code)
        return f"#{code:06X}" if code >= 0 else SHADELESS
