"""Nearer (a window of the image) and farther (the image on a larger canvas), for the sentences that surely stay true.

Only the sentences' own masks are known, never everything in the image, so what may be kept is decided by the words:
* nearer: nouns alone, with or without a colour ("the red ship", "the two ships in the image"). Their masks are in the
  window whole, and nothing comes in that could be meant as well. What relates, compares, counts from a side or says a
  place may have lost what it speaks of: an anchor, the smaller ship, the harbor of which only the left end is left.
* farther: everything but absolute places, distances and order across the image, whose margins are shares of the image
  ("on the left", "in the corner", "next to", "leftmost"). Sizes against each other and the direction from one object to
  another are the same at any scale.
Nothing is resampled: pixels are cut out or laid on the image's mean colour, and the model resizes as it always does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 0.75  # of height and width, that the window has of the image, or the image of the canvas

_SIDE = r"(?:top|bottom|left|right|upper|lower|north\w*|south\w*|east\w*|west\w*)"
_BESIDE = re.compile(  # "to the left of the ship", and not of the image
    r"\b(?:(?:to|on)\s+the\s+)?(?:left|right)\s+of\s+(?!(?:the|this)\s+(?:whole\s+|entire\s+)?"
    r"(?:image|picture|photo|photograph|scene|frame|view)\b)",
    re.IGNORECASE,
)
_OF_THE_IMAGE = (
    rf"{_SIDE}|\w+most|(?:far|furth|near|clos)\w*|cent(?:er|re|ral)s?|middle|corners?|edges?|borders?|margins?|next"
    r"|beside|besides|by|adjacent|neighbou?r\w*|around|along|alongside|away|outer\w*|inner\w*|half|quarter|first|second"
    r"|third|fourth|fifth|last|frame|fills?|whole|entire"
)
_PLACED = re.compile(rf"\b(?:{_OF_THE_IMAGE})\b", re.IGNORECASE)
_COMPOSED = re.compile(  # more than a noun with what is always true of it
    rf"\b(?:{_OF_THE_IMAGE}|above|below|over|under\w*|beneath|between|among|behind|front|back|opposite|across|through"
    r"|in|on|at|to|of|with|without|from|inside|outside|within|into|against|like|as|than|that|which|where|whose|who"
    r"|is|are|has|have|\w+est|more|less|most|least|other|others|another|only|single|alone|both|not|no|and|or|but)\b",
    re.IGNORECASE,
)
_ALWAYS = re.compile(r"\s+in\s+(?:the|this)\s+(?:image|picture|scene)\b|\bareas?\s+of\b", re.IGNORECASE)


def true_nearer(sentence: str) -> bool:
    """Whether a sentence stays true of its mask in any window that holds all of the mask."""
    return not _COMPOSED.search(_ALWAYS.sub("", sentence))


def true_farther(sentence: str) -> bool:
    """Whether a sentence stays true of its mask when the image is only a part of the picture."""
    return not _PLACED.search(_BESIDE.sub("", sentence))


def rescale(
    image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], sentences: Sequence[str], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]], list[int]]:
    """Half of all images as they are, a quarter each nearer and farther, if any of their sentences allows it.

    image: (H, W, 3). Returns image, masks of its new size, and which of the sentences are kept: at least one.
    """
    draw, share = rng.random(), rng.uniform(LEAST, 1)
    places = rng.random(2)
    if draw < 0.5:
        stays = true_nearer if draw < 0.25 else true_farther
        kept = [index for index, sentence in enumerate(sentences) if stays(sentence)]
        if kept and draw < 0.25:
            window = _window([masks[index] for index in kept], share, places)
            if window is not None:
                return image[window], [masks[index][window] for index in kept], kept
        elif kept:
            return *_on_canvas(image, [masks[index] for index in kept], share, places), kept
    return image, list(masks), list(range(len(sentences)))


def _window(
    masks: Sequence[NDArray[np.bool_]], share: float, places: NDArray[np.float64]
) -> tuple[slice, slice] | None:
    """A window of that share of both sides with all of the masks in it; None if there is none.

    places: where it is, of where it can be, along both axes, in [0, 1).
    """
    union = np.logical_or.reduce(masks)
    window = []
    for axis, place in enumerate(places):
        used, side = np.flatnonzero(union.any(axis=1 - axis)), union.shape[axis]
        size = round(side * share)
        first = max(0, int(used[-1]) + 1 - size) if used.size else 0
        last = min(side - size, int(used[0])) if used.size else side - size
        if last < first:
            return None
        start = first + int(place * (last - first + 1))
        window.append(slice(start, start + size))
    return window[0], window[1]


def _on_canvas(
    image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], share: float, places: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """The image as that share of both sides of a canvas in its mean colour, at those places of where it can be."""
    height, width = image.shape[:2]
    size = round(height / share), round(width / share)
    y, x = (int(place * (large - small + 1)) for place, large, small in zip(places, size, (height, width), strict=True))
    inside = slice(y, y + height), slice(x, x + width)
    canvas = np.empty((*size, 3), np.uint8)
    canvas[:] = image.mean(axis=(0, 1)).round()
    canvas[inside] = image
    moved = []
    for mask in masks:
        moved.append(np.zeros(size, bool))
        moved[-1][inside] = mask
    return canvas, moved
