"""Reads the English of the generalized expressions and looks at the pixels, and draws scenes to read it on.

It shares nothing with the predicates that wrote: plain boundaries, no margins.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.expressions.regions import Region

PLURALS = {
    "ship": "ships",
    "storage tank": "storage tanks",
    "bus": "buses",
    "factory": "factories",
    "water": "areas of water",
    "harbor": "harbors",
    "bridge": "bridges",
    "train station": "train stations",
    "overpass": "overpasses",
}
DRAWN = tuple(PLURALS)[:6]  # the others are never in a scene
COLOURS = ("red", "white", "blue", "dark gray")
NUMBERS = {word: k for k, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
LEAD = re.compile(f"(?:(all the|all|the ({'|'.join(NUMBERS)})|the) )(.+)")
RELATION = re.compile(
    "(.+?) (?:that is |that are |located )?"
    "((?:to the |on the )?(?:left|right) of|above|below|next to|beside) the (?!image)(.+)"
)
PLACE = re.compile(r"(.+?) (?:located )?(?:on|at|in) the (.+?)(?: side| part)?(?: of the image)?")
HALVES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "upper": (1, 1), "bottom": (1, -1), "lower": (1, -1)}
VOCABULARY = tuple(PLURALS)


def noun_set(text: str, regions: list[Region]) -> set[int]:
    """The regions that 'ship', 'red ships' or 'areas of blue water' may mean."""
    text = re.sub("^areas? of ", "", text)
    for category in VOCABULARY:
        forms = (category, PLURALS[category].removeprefix("areas of "))
        for form in forms:
            if text == form:
                return {k for k, region in enumerate(regions) if region.category == category}
            if text.endswith(f" {form}") and (colour := text.removesuffix(f" {form}")) in COLOURS:
                return {k for k, region in enumerate(regions) if (region.category, region.colour) == (category, colour)}
    raise AssertionError(f"no noun in '{text}'")


def centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """x, y of the mean pixel centre in pixels."""
    y, x = np.nonzero(mask)
    return float(x.mean() + 0.5), float(y.mean() + 0.5)


def related(regions: list[Region], k: int, way: str, anchor: int) -> bool:
    mask, other = regions[k].mask, regions[anchor].mask
    if way in ("next to", "beside"):
        return float(ndimage.distance_transform_edt(~other)[mask].min()) / max(mask.shape) < 0.16
    (x, y), (to_x, to_y) = centre(mask), centre(other)
    if abs(x - to_x) > abs(y - to_y):
        return way.endswith("right of" if x > to_x else "left of")
    return way == ("below" if y > to_y else "above")


def placed(region: Region, place: str) -> bool:
    height, width = region.mask.shape
    x, y = centre(region.mask)
    at, words = (x / width, y / height), place.removesuffix(" corner").split()
    if words in (["center"], ["middle"]):
        return max(abs(at[0] - 0.5), abs(at[1] - 0.5)) < 1 / 6
    near = 0.35 if place.endswith("corner") else 0.5
    sides = [(at[HALVES[word][0]], HALVES[word][1]) for word in words]
    return all((value if sign > 0 else 1 - value) < near for value, sign in sides)


def meant(text: str, regions: list[Region]) -> tuple[set[int], int]:
    """The regions of which a sentence is true, with plain boundaries and no margins; the number it says (0: none)."""
    found = LEAD.fullmatch(text)
    assert found, text
    _, number, rest = found.groups()
    said = NUMBERS.get(number, 0)
    if found := RELATION.fullmatch(rest):
        anchors = noun_set(found[3], regions)
        assert len(anchors) == 1, text
        anchor = next(iter(anchors))
        assert regions[anchor].target, text
        members = noun_set(found[1], regions) - {anchor}
        return {k for k in members if related(regions, k, found[2], anchor)}, said
    rest = rest.removesuffix(" in the image")
    if found := PLACE.fullmatch(rest):
        return {k for k in noun_set(found[1], regions) if placed(regions[k], found[2])}, said
    return noun_set(rest, regions), said


def scene(rng: np.random.Generator, colours: str = "all", targets: float = 0.9) -> list[Region]:
    """Disjoint turned boxes and ellipses of any size, anywhere, also over the border."""
    height, width = (int(side) for side in rng.integers(90, 160, 2))
    taken, regions = np.zeros((height, width), bool), []
    categories = rng.choice(DRAWN, size=int(rng.integers(1, 4)), replace=False)
    for _ in range(int(rng.integers(1, 14))):
        y, x = np.mgrid[:height, :width] + 0.5
        x, y = x - rng.uniform(0, width), y - rng.uniform(0, height)
        turn, (a, b) = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(30), 2))
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        box, ellipse = (np.abs(u) <= a) & (np.abs(v) <= b), (u / a) ** 2 + (v / b) ** 2 <= 1
        mask = (box if rng.random() < 0.5 else ellipse) & ~taken
        if mask.sum() >= 12:
            taken |= mask
            known = colours == "all" or (colours == "some" and rng.random() < 0.7)
            colour = str(rng.choice(COLOURS)) if known else None
            regions.append(Region(mask, str(rng.choice(categories)), colour, target=bool(rng.random() < targets)))
    return regions


def box(
    x1: int, y1: int, x2: int, y2: int, category: str = "ship", colour: str | None = None, target: bool = True
) -> Region:
    mask = np.zeros((100, 100), bool)
    mask[y1:y2, x1:x2] = True
    return Region(mask, category, colour, target)


def spot(x: int, y: int, category: str = "ship", colour: str | None = None, target: bool = True) -> Region:
    return box(x - 3, y - 3, x + 3, y + 3, category, colour, target)
