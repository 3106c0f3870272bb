"""Which bands of a TIFF are red, green and blue, and which says where there is data: by what the file says of them.

GDAL's colour interpretation comes first. Where it says nothing, or no more than that the first three are red, green and
blue, as every writer of 8-bit bands lets it say unasked, the bands' descriptions count, if they name each colour
exactly once: as a word, as a letter, or as Sentinel-2 numbers its bands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

RGB = ("red", "green", "blue")
SENTINEL = ("b04", "b03", "b02")  # so, too, in the harmonised Landsat and Sentinel-2 product (HLS)
VOCABULARIES = (RGB, ("r", "g", "b"), SENTINEL)
FIRST = (0, 1, 2)
SPECTRAL = re.compile(r"red|green|blue|[rgbn]|nir ?\d?|(near ?)?infrared|red ?edge ?\d?|swir ?\d?|b\d[\da]")


class Bands(NamedTuple):
    """order: red, green and blue, where the file says so. alphas: those that say where there is data. All from 0 on."""

    order: tuple[int, int, int] | None
    alphas: list[int]


def bands_of(roles: Sequence[str], descriptions: Sequence[str]) -> Bands:
    """roles: of each band, GDAL's colour interpretation in lower case, "" for none. descriptions: of each, or ""."""
    said = [" ".join(re.split(r"[\s_-]+", text.strip().lower())) for text in descriptions]
    alphas = [band for band, role in enumerate(roles) if role == "alpha"]
    order, described = _once(roles, RGB), _described(said)
    if order not in (None, FIRST) or described is None:
        return Bands(order, alphas)
    # GDAL lets the fourth of four 8-bit bands be alpha, unasked as well
    return Bands(described, [band for band in alphas if not SPECTRAL.fullmatch(said[band])])


def _described(said: Sequence[str]) -> tuple[int, int, int] | None:
    """The bands that descriptions name; None where they do not, or could mean others."""
    found = [order for names in VOCABULARIES if (order := _once(said, names)) is not None]
    if len(found) != 1:
        return None
    if found[0] == _once(said, SENTINEL) and "b01" in said and "b8a" not in said:  # any sensor's bands, just numbered
        return None
    return found[0]


def _once(words: Sequence[str], names: tuple[str, str, str]) -> tuple[int, int, int] | None:
    if any(words.count(name) != 1 for name in names):
        return None
    red, green, blue = (words.index(name) for name in names)
    return red, green, blue


def choice(shown: Sequence[int], count: int, named: bool) -> str | None:
    """What is said of the bands that are shown, counted from 1, of so many that are no alpha; None where it is all of
    them in their order. named: whether the file names them."""
    if list(shown) == list(range(1, count + 1)):
        return None
    why = "which the file names red, green and blue" if named else "by their place: the file names none"
    return f"band{'s' * (len(shown) > 1)} {', '.join(map(str, shown))} of {count}, {why}"
