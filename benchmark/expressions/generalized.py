"""Expressions of several regions at once, and no-target ones: what "generalized" referring expression
segmentation (Liu, Ding, Jiang: GRES, CVPR 2023) adds to the one region of benchmark/expressions/writer.py.

The proof is the same one, by three-valued verdicts (predicates.py) on every region of a scene, those that are
no target included:
* of several: TRUE of two or more regions, FALSE of every other one, UNCLEAR of none, and all that it is true of are
  targets. What is no target (too small, a sliver, a crowd) may neither be in the group, whose mask is the union of its
  members', nor be in doubt: it must be FALSE of it.
* of nothing: FALSE of every region. Either a category that the scene has no region of, or, deceptive, one that it has,
  but not in the colour or at the place that is said.
A crowd, many objects under one mask, has to be in the scene as its pieces as well (regions.py: pieces).

Superlatives mean one region and are left out. What nobody annotated cannot be known here: "all ships" is as complete,
and absence as sure, as the annotation is. A category that another one includes ("vehicle", "bus") is told apart by name
only, unless write_absent is told.

Arrays end in their dimensions: N nouns (a category, alone or with a colour), L locators (what stands beside the noun),
H, T and R as in benchmark/expressions/predicates.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.expressions.plurals import NUMBERS, plural
from benchmark.expressions.predicates import FALSE, TRUE, UNCLEAR, Locator, nouns, positions, relations
from benchmark.expressions.regions import Region
from benchmark.expressions.writer import TEMPLATES, check_sizes, choose_head, kinds_of, noun_words

__all__ = ["DECEPTIVE", "AbsentExpression", "GroupExpression", "write_absent", "write_multiple"]

COUNTED = 0.4  # share of groups up to ten that are said with their number
DECEPTIVE = 0.7  # share of expressions of nothing whose category is there, where both ways are possible
PLURAL_RATE = 0.4  # share of expressions of nothing in the plural, so that the number does not give them away
NOTHING = Locator("", "", np.array(TRUE, np.int8))  # beside the noun: the noun alone decides


@dataclass(frozen=True)
class GroupExpression:
    """A sentence that is true of exactly these regions: two or more indices in the scene, ascending; the text, its kind
    ("category", "colour", "position" or "relation")."""

    regions: tuple[int, ...]
    text: str
    kind: str


@dataclass(frozen=True)
class AbsentExpression:
    """A sentence that is true of no region; the category that it names; its kind, what of it is not there: "category"
    (no region of it at all), "colour", "position" or "relation"."""

    text: str
    category: str
    kind: str


def write_multiple(regions: Sequence[Region], rng: np.random.Generator, count: int) -> list[GroupExpression]:
    """Write up to ``count`` expressions of several regions, of different kinds and groups where it can, never the same
    thing in two wordings.

    regions: all of the scene, masks of one (H, W). Texts are distinct; the same rng state gives the same texts. Raises
    ValueError for masks of different sizes or empty ones.
    """
    if not regions or count < 1:
        return []
    scene = _judge(regions)
    members_LNR = scene.verdict_LNR == TRUE
    target_R = np.array([region.target for region in regions])
    proven_LN = (scene.verdict_LNR != UNCLEAR).all(axis=-1) & (members_LNR <= target_R).all(axis=-1)
    proven_LN &= members_LNR.sum(axis=-1) >= 2
    heads: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index, n in np.argwhere(proven_LN).tolist():  # a category comes before its colours
        members = tuple(np.flatnonzero(members_LNR[index, n]).tolist())
        heads.setdefault((index, members), []).append(int(scene.nouns[n].colour is not None))
    claims = [
        _Claim(kind, members, scene.locators[index], regions[members[0]], kept)
        for (index, members), found in heads.items()
        for kind, kept in kinds_of(scene.locators[index], found)
    ]
    written: dict[str, GroupExpression] = {}
    for claim in _drawn(claims, rng):
        text = _text(scene, claim, _group_lead(len(claim.subject), rng), rng)
        written.setdefault(text, GroupExpression(claim.subject, text, claim.kind))
        if len(written) == count:
            break
    return list(written.values())


def write_absent(
    regions: Sequence[Region],
    vocabulary: Mapping[str, Collection[str]] | Sequence[str],
    rng: np.random.Generator,
    count: int,
) -> list[AbsentExpression]:
    """Write up to ``count`` expressions of what is surely not in the scene, never the same thing in two wordings.

    regions: all of the scene, masks of one (H, W). vocabulary: the categories that the dataset annotates wherever they
    are, so that one of them without a region is not there: absence is only as sure as the annotation is complete, which
    is the caller's matter. A mapping gives each of them the other names that the same object may have ("vehicle":
    "bus", "truck"), read in both directions: such regions are UNCLEAR, so it is not said to be missing. Where both are
    possible, DECEPTIVE of the expressions name a category that is there, the others one that is not. Texts are
    distinct; the same rng state gives the same texts. Raises ValueError for masks of different sizes or empty ones.
    """
    if count < 1:
        return []
    synonyms = vocabulary if isinstance(vocabulary, Mapping) else {}
    present = {region.category for region in regions}
    missing = [
        category
        for category in sorted(set(vocabulary) - present)
        if not any(_may_be(category, other, synonyms) for other in present)
    ]
    scene = _judge(regions, synonyms)
    deceptive = _drawn(_deceptions(scene, rng), rng)
    written: dict[str, AbsentExpression] = {}
    while len(written) < count:
        claim = next(deceptive, None) if not missing or rng.random() < DECEPTIVE else None
        if claim is None and missing:
            category = missing.pop(int(rng.integers(len(missing))))
            claim = _Claim("category", category, NOTHING, _named(category), [0])
        if claim is None:
            break
        lead = ("the", "all", "all the")[int(rng.integers(3))] if rng.random() < PLURAL_RATE else ""
        text = _text(scene, claim, lead, rng)
        written.setdefault(text, AbsentExpression(text, claim.subject, claim.kind))
    return list(written.values())


@dataclass(frozen=True, eq=False)
class _Scene:
    """A scene judged: the nouns that its categories and colours make (regions of which only the words count), the
    locators, their verdicts together, and which head noun names a region alone."""

    regions: Sequence[Region]
    nouns: list[Region]
    locators: list[Locator]
    noun_NR: NDArray[np.int8]
    verdict_LNR: NDArray[np.int8]
    named_HT: NDArray[np.bool_]


Subject = TypeVar("Subject", bound=Hashable)


@dataclass(frozen=True, eq=False)
class _Claim(Generic[Subject]):
    """What can be said: its kind, what it is about (the members of a group; the category that is missed), the locator,
    a region with the noun's words and the heads of it that will do."""

    kind: str
    subject: Subject
    locator: Locator
    noun: Region
    heads: list[int]


def _judge(regions: Sequence[Region], synonyms: Mapping[str, Collection[str]] | None = None) -> _Scene:
    """Every noun with every locator, judged for every region."""
    check_sizes(regions)
    colours = sorted({region.colour for region in regions if region.colour})
    categories = sorted({region.category for region in regions})
    named = [_named(category, colour) for category in categories for colour in (None, *colours)]
    if not regions:
        return _Scene(regions, [], [], np.zeros((0, 0), np.int8), np.zeros((0, 0, 0), np.int8), np.zeros((2, 0), bool))
    words = [*named, *regions]
    nouns_HTR = nouns(words)
    if synonyms:
        doubt = [[_may_be(a.category, b.category, synonyms) for b in words] for a in words]
        nouns_HTR = np.maximum(nouns_HTR, np.where(doubt, UNCLEAR, FALSE).astype(np.int8))
    coloured = [int(noun.colour is not None) for noun in named]
    noun_NR = nouns_HTR[coloured, np.arange(len(named)), len(named) :]
    within_HTR = nouns_HTR[:, len(named) :, len(named) :]
    alone_HT = (within_HTR != FALSE).sum(axis=-1) == 1
    named_HT = alone_HT & (np.diagonal(within_HTR, axis1=1, axis2=2) == TRUE)
    anchors = [k for k, region in enumerate(regions) if region.target and named_HT[:, k].any()]
    related = relations(regions, within_HTR[:, :0], anchors)  # for no noun: "closest", which asks for it, means one
    locators = [NOTHING, *positions(regions), *(locator for locator in related if locator.name != "closest")]
    verdict_LNR = np.stack([np.minimum(noun_NR, locator.verdict) for locator in locators])
    return _Scene(regions, named, locators, noun_NR, verdict_LNR, named_HT)


def _named(category: str, colour: str | None = None) -> Region:
    """A region for its words; its mask says nothing."""
    return Region(np.ones((1, 1), bool), category, colour)


def _may_be(a: str, b: str, synonyms: Mapping[str, Collection[str]]) -> bool:
    """May an object of one category go by the name of the other one as well?"""
    return a != b and (b in synonyms.get(a, ()) or a in synonyms.get(b, ()))


def _deceptions(scene: _Scene, rng: np.random.Generator) -> Iterator[_Claim[str]]:
    """What is false of every region although its category is there: a colour, or a place of a noun that means some.

    The colour is said beside a place only where it is needed, or as often as in other expressions.
    """
    for locator, verdict_NR in zip(scene.locators, scene.verdict_LNR, strict=True):
        absent: dict[str, list[int]] = {}
        for n in np.flatnonzero((verdict_NR == FALSE).all(axis=-1)).tolist():
            meant = np.flatnonzero(scene.noun_NR[n] == TRUE)
            if not locator.name:
                yield _Claim("colour", scene.nouns[n].category, locator, scene.nouns[n], [1])
            elif (meant != locator.anchor).any():  # not "the ship above the ship"
                absent.setdefault(scene.nouns[n].category, []).append(n)
        for category, found in absent.items():
            rich = [n for n in found if scene.nouns[n].colour is not None]
            if len(rich) == len(found):
                for n in rich:
                    yield _Claim(locator.kind, category, locator, scene.nouns[n], [1])
            else:
                n = rich[int(rng.integers(len(rich)))] if rich else found[0]
                yield _Claim(locator.kind, category, locator, scene.nouns[n], [0, 1] if rich else [0])


def _drawn(claims: Iterable[_Claim[Subject]], rng: np.random.Generator) -> Iterator[_Claim[Subject]]:
    """All claims in random order: kinds that had no turn first, and of a kind what was least spoken about."""
    choices: dict[str, list[_Claim[Subject]]] = {}
    for claim in claims:
        choices.setdefault(claim.kind, []).append(claim)
    unused, spoken = list(choices), Counter[Subject]()
    while choices:
        kinds = [kind for kind in unused if kind in choices] or list(choices)
        kind = kinds[int(rng.integers(len(kinds)))]
        unused = [other for other in unused if other != kind]
        fewest = min(spoken[claim.subject] for claim in choices[kind])
        first = [k for k, claim in enumerate(choices[kind]) if spoken[claim.subject] == fewest]
        claim = choices[kind].pop(first[int(rng.integers(len(first)))])
        if not choices[kind]:
            del choices[kind]
        spoken[claim.subject] += 1
        yield claim


def _group_lead(size: int, rng: np.random.Generator) -> str:
    """What stands before a plural: "the two", "all"."""
    if size > len(NUMBERS) + 1:
        return ("all", "all the")[int(rng.integers(2))]
    if rng.random() < COUNTED:
        return f"the {NUMBERS[size - 2]}"
    return ("the", "all", "all the")[int(rng.integers(3))]


def _text(scene: _Scene, claim: _Claim[Subject], lead: str, rng: np.random.Generator) -> str:
    """One of the wordings that expressions of one region have; lead: what stands before the plural ("": singular)."""
    noun, anchor = noun_words(claim.noun, choose_head(claim.heads, rng)), ""
    if claim.locator.anchor >= 0:
        heads = np.flatnonzero(scene.named_HT[:, claim.locator.anchor]).tolist()
        anchor = noun_words(scene.regions[claim.locator.anchor], choose_head(heads, rng))
    template = TEMPLATES[claim.locator.name][int(rng.integers(len(TEMPLATES[claim.locator.name])))]
    if lead:
        template = template.replace("the {n}", "{n}", 1).replace(" that is ", " that are ")
        noun = f"{lead} {plural(noun)}"
    return template.format(n=noun, a=anchor)
