"""Expressions of several regions at once, and of what is not there ("generalized" ones: Liu et al., GRES, CVPR 2023).

Both are proved as benchmark/expressions.py proves the others, by three-valued verdicts on every region of a scene:
* of several: TRUE of two targets or more, FALSE of every other region, UNCLEAR of none. A region that is no target (a
  crumb, a crowd) would have to be in the mask if the words may mean it, so nothing is written then.
* of none: FALSE of every region. Either a category of which the scene has no region at all, or, harder, one that is
  there, but not where or not in the colour that is said. What nobody annotated cannot be known here: absence is as
  sure as the annotation is complete.

Arrays end in their dimensions as in benchmark/predicates.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.expressions import MASS_NOUNS, TEMPLATES
from benchmark.predicates import FALSE, TRUE, UNCLEAR, Locator, nouns, positions, relations
from benchmark.regions import Region

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # beyond: "all"
DECEPTIVE = 0.5  # share of expressions of none that name something which is there, but elsewhere or otherwise
IRREGULAR = {"bus": "buses", "person": "people", "aircraft": "aircraft"}


@dataclass(frozen=True)
class GroupExpression:
    """A sentence that is true of exactly these regions (indices in the scene, two or more); kind: one of KINDS."""

    regions: tuple[int, ...]
    text: str
    kind: str


@dataclass(frozen=True)
class AbsentExpression:
    """A sentence that is true of no region; category: of what it names. kind: "category", "colour", "position" or
    "relation": what of it is not there."""

    text: str
    category: str
    kind: str


def plural(noun: str) -> str:
    """The plural of a category or of a category with its colour; mass nouns come in areas."""
    *before, last = noun.split(" ")
    lead = " ".join([*before, ""])
    if last in MASS_NOUNS:
        return f"areas of {noun}"
    if last in IRREGULAR:
        return lead + IRREGULAR[last]
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return f"{lead}{last}es"
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return f"{lead}{last[:-1]}ies"
    return f"{lead}{last}s"


def write_multiple(regions: Sequence[Region], rng: np.random.Generator, count: int) -> list[GroupExpression]:
    """Up to ``count`` expressions of several regions, of different groups where that is possible.

    regions: all of the scene, masks of one (H, W). The same rng state gives the same texts; texts are distinct.
    """
    found: dict[tuple[tuple[int, ...], str], list[tuple[Locator, str]]] = {}
    if count:
        for noun, locator, verdict_R in _claims(regions):
            members = tuple(np.flatnonzero(verdict_R == TRUE).tolist())
            if len(members) < 2 or (verdict_R == UNCLEAR).any() or not all(regions[k].target for k in members):
                continue
            kind = locator.kind or ("category" if noun == regions[members[0]].category else "colour")
            found.setdefault((members, kind), []).append((locator, noun))
    written: list[GroupExpression] = []
    for members, kind in _spread(list(found), rng)[:count]:
        choices = found[members, kind]
        locator, noun = choices[int(rng.integers(len(choices)))]
        written.append(GroupExpression(members, _group_text(regions, locator, noun, len(members), rng), kind))
    return list({expression.text: expression for expression in written}.values())


def write_absent(
    regions: Sequence[Region], vocabulary: Sequence[str], rng: np.random.Generator, count: int
) -> list[AbsentExpression]:
    """Up to ``count`` expressions of what is not there.

    vocabulary: the categories that may be missed; those that are there are not. The same rng state gives the same
    texts; texts are distinct.
    """
    if not count:
        return []
    present = {region.category for region in regions}
    missing = sorted(set(vocabulary) - present)
    near = [
        (noun, locator, category)
        for noun, locator, verdict_R, category in _false_claims(regions)
        if (verdict_R == FALSE).all()
    ]
    written: dict[str, AbsentExpression] = {}
    for _ in range(count):
        if near and (not missing or rng.random() < DECEPTIVE):
            noun, locator, category = near.pop(int(rng.integers(len(near))))
            kind = locator.kind or "colour"
        elif missing:
            noun = category = missing.pop(int(rng.integers(len(missing))))
            locator, kind = Locator("", "", np.array(TRUE, np.int8)), "category"
        else:
            break
        template = TEMPLATES[locator.name][int(rng.integers(len(TEMPLATES[locator.name])))]
        text = template.format(n=noun, a=_anchor(regions, locator))
        written.setdefault(text, AbsentExpression(text, category, kind))
    return list(written.values())


Claim = tuple[str, Locator, NDArray[np.int8]]


def _locators(regions: Sequence[Region], nouns_HTR: NDArray[np.int8]) -> list[Locator]:
    """Nothing, the positions, and the relations to what a category alone names; superlatives mean one region."""
    alone_T = (nouns_HTR[0] != FALSE).sum(axis=-1) == 1
    anchors = [k for k, region in enumerate(regions) if region.target and alone_T[k]]
    beside = [locator for locator in relations(regions, nouns_HTR, anchors) if locator.verdict.ndim == 1]
    return [Locator("", "", np.array(TRUE, np.int8)), *positions(regions), *beside]


def _claims(regions: Sequence[Region]) -> Iterator[Claim]:
    """Every noun of the scene with every locator: its words, and the verdict on each region (R)."""
    if not regions:
        return
    nouns_HTR = nouns(regions)
    locators = _locators(regions, nouns_HTR)
    seen = set()
    for t, region in enumerate(regions):
        for noun, verdict_R in zip(_names(region), nouns_HTR[:, t], strict=False):
            if noun not in seen:
                seen.add(noun)
                for locator in locators:
                    if locator.anchor < 0 or regions[locator.anchor].category != region.category:
                        yield noun, locator, np.minimum(verdict_R, locator.verdict)


def _false_claims(regions: Sequence[Region]) -> Iterator[tuple[str, Locator, NDArray[np.int8], str]]:
    """What could be said of the scene's categories and is perhaps not so: places, relations, and others' colours."""
    for noun, locator, verdict_R in _claims(regions):
        category = next(region.category for region in regions if noun in _names(region))
        if locator.name:
            yield noun, locator, verdict_R, category
    colours = sorted({region.colour for region in regions if region.colour})
    nothing = Locator("", "", np.array(TRUE, np.int8))
    for category in sorted({region.category for region in regions}):
        for colour in colours:
            verdicts = [
                FALSE if region.category != category or region.colour not in (colour, None) else UNCLEAR
                for region in regions
            ]
            yield f"{colour} {category}", nothing, np.array(verdicts, np.int8), category


def _names(region: Region) -> list[str]:
    return [region.category, *([f"{region.colour} {region.category}"] if region.colour else [])]


def _anchor(regions: Sequence[Region], locator: Locator) -> str:
    return regions[locator.anchor].category if locator.anchor >= 0 else ""


def _spread(keys: list[tuple[tuple[int, ...], str]], rng: np.random.Generator) -> list[tuple[tuple[int, ...], str]]:
    """At random, but a group or a kind that was there waits for those that were not."""
    order = [keys[k] for k in rng.permutation(len(keys)).tolist()]
    groups: dict[tuple[int, ...], int] = {}
    kinds: dict[str, int] = {}
    turns = []
    for members, kind in order:
        turns.append((groups.get(members, 0) + kinds.get(kind, 0), members, kind))
        groups[members] = groups.get(members, 0) + 1
        kinds[kind] = kinds.get(kind, 0) + 1
    return [(members, kind) for _, members, kind in sorted(turns, key=lambda turn: turn[0])]  # stable: random within


def _group_text(regions: Sequence[Region], locator: Locator, noun: str, count: int, rng: np.random.Generator) -> str:
    """ "all ships", "the two tanks at the top": a wording for one region, in the plural."""
    heads = [f"all {plural(noun)}", f"all the {plural(noun)}"]
    if count <= len(NUMBERS) + 1:
        heads.append(f"the {NUMBERS[count - 2]} {plural(noun)}")
    templates = TEMPLATES[locator.name]
    template = templates[int(rng.integers(len(templates)))].replace(" that is ", " that are ")
    head = heads[int(rng.integers(len(heads)))]
    return template.replace("the {n}", head).format(a=_anchor(regions, locator))
