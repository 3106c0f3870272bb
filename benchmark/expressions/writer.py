"""The rule-based writer of unambiguous referring expressions, for drawn scenes and for real masks alike.

An expression is a conjunction of predicates: category always; optionally colour, size, position, order, a relation to
an anchor. Every predicate is judged for *every* region of the scene: TRUE, FALSE, or UNCLEAR within a stated margin of
its boundary (predicates.py). An expression is written for a region only if it is TRUE of that region and FALSE of every
other one. That is the proof of uniqueness; where no expression passes, a region simply gets none.

Arrays end in their dimensions as in benchmark/expressions/predicates.py; L: the locators (what stands beside the noun).
The wordings follow RefSegRS, RRSIS-D and RISBench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.expressions.predicates import (
    CORNERS,
    FALSE,
    ORDINALS,
    SIDES,
    TRUE,
    Locator,
    nouns,
    ordinals,
    positions,
    relations,
    superlatives,
)
from benchmark.expressions.regions import Region

__all__ = ["KINDS", "Expression", "Region", "write_expressions"]

KINDS = ("category", "colour", "size", "position", "order", "relation")
# a kind that is seldom provable is chosen the more often where it is
KIND_WEIGHTS = {"category": 3.0, "colour": 1.0, "size": 1.0, "position": 0.7, "order": 0.7, "relation": 1.0}
RICH_RATE = 0.3  # how often a colour is named although the expression is unambiguous without it
MASS_NOUNS = frozenset({"water", "land", "vegetation"})  # "the largest area of water"


def _templates() -> dict[str, tuple[str, ...]]:
    """Wordings by locator; {n} is the noun with its colour, if any, {a} the anchor's."""
    wordings: dict[str, tuple[str, ...]] = {
        "": ("the {n}", "the {n}", "the {n} in the image"),
        "center": ("the {n} in the {w}", "the {n} in the {w} of the image", "the {n} located in the {w}"),
        "closest": ("the {n} closest to the {a}", "the {n} nearest to the {a}", "the {n} that is closest to the {a}"),
        "next": ("the {n} next to the {a}", "the {n} beside the {a}", "the {n} that is next to the {a}"),
    }
    wordings["center"] = tuple(
        text.replace("{w}", word) for text in wordings["center"] for word in ("center", "middle")
    )
    for superlative, words in (("largest", ("largest", "biggest")), ("smallest", ("smallest",))):
        wordings[superlative] = tuple(f"the {w} {{n}}{tail}" for w in words for tail in ("", " in the image"))
    for side in ("left", "right"):
        places = (f"on the {side}", f"on the {side} side", f"on the {side} side of the image", f"located on the {side}")
        wordings[side] = tuple(f"the {{n}} {place}" for place in places)
        wordings[f"{side}most"] = (f"the {side}most {{n}}", f"the {{n}} farthest to the {side}")
        ways = tuple(f"{lead}{side} of" for lead in ("", "to the ", "on the ", "that is to the "))
        wordings[f"{side} of"] = tuple(f"the {{n}} {way} the {{a}}" for way in ways)
    for side, part, way in (("top", "upper", "above"), ("bottom", "lower", "below")):
        places = (
            f"at the {side}",
            f"at the {side} of the image",
            f"in the {part} part of the image",
            f"located at the {side}",
        )
        wordings[side] = tuple(f"the {{n}} {place}" for place in places)
        wordings[f"{side}most"] = (f"the {side}most {{n}}", f"the {{n}} closest to the {side} of the image")
        wordings[way] = tuple(f"the {{n}} {lead}{way} the {{a}}" for lead in ("", "located ", "that is "))
    for side in SIDES:
        for word in ORDINALS:
            wordings[f"{word} from the {side}"] = (
                f"the {word} {{n}} from the {side}",
                f"the {word} {{n}} counted from the {side}",
            )
    for names in CORNERS:
        places = ("in the {}", "in the {} of the image", "located in the {}", "in the {} part of the image")
        wordings[names[0]] = tuple(f"the {{n}} {place.format(name)}" for place in places for name in names)
        corners = ("in the {} corner", "in the {} corner of the image")
        wordings[f"{names[0]} corner"] = tuple(f"the {{n}} {place.format(name)}" for place in corners for name in names)
    return wordings


TEMPLATES = _templates()


@dataclass(frozen=True)
class Expression:
    """A sentence that is true of exactly one region: its index in the scene, the text, its kind (one of KINDS)."""

    region: int
    text: str
    kind: str


def write_expressions(
    regions: Sequence[Region], rng: np.random.Generator, per_region: int = 2, order: bool = False
) -> list[Expression]:
    """Write up to ``per_region`` unambiguous expressions for each target region, of different kinds where it can, never
    the same thing in two wordings.

    regions: all of the scene, masks of one (H, W). order: whether "the second ship from the left" may be said. Returns
    expressions in order of region, texts distinct; the same rng state gives the same texts. A region that nothing
    describes without doubt gets none. Raises ValueError for masks of different sizes or empty ones.
    """
    if not regions:
        return []
    check_sizes(regions)
    nouns_HTR = nouns(regions)
    named_HT = (nouns_HTR != FALSE).sum(axis=-1) == 1
    anchors = [k for k, region in enumerate(regions) if region.target and named_HT[:, k].any()]
    locators = [Locator("", "", np.array(TRUE, np.int8)), *positions(regions)]
    locators += [*superlatives(regions, nouns_HTR), *relations(regions, nouns_HTR, anchors)]
    locators += ordinals(regions, nouns_HTR) if order else []
    verdict_LHTR = np.stack([np.minimum(nouns_HTR, locator.verdict) for locator in locators])
    proven_LHT = ((verdict_LHTR != FALSE).sum(axis=-1) == 1) & (np.diagonal(verdict_LHTR, axis1=2, axis2=3) == TRUE)

    written: list[Expression] = []
    for t, region in enumerate(regions):
        choices: dict[str, list[tuple[Locator, list[int]]]] = {}
        for index in np.flatnonzero(proven_LHT[:, :, t].any(axis=1)) if region.target else []:
            heads = np.flatnonzero(proven_LHT[index, :, t]).tolist()
            for kind, kept in kinds_of(locators[index], heads):
                choices.setdefault(kind, []).append((locators[index], kept))
        unused = list(choices)
        for _ in range(min(per_region, sum(map(len, choices.values())))):
            kind = _pick_kind([kind for kind in unused if kind in choices] or list(choices), rng)
            unused = [other for other in unused if other != kind]
            locator, heads = choices[kind].pop(int(rng.integers(len(choices[kind]))))
            if not choices[kind]:
                del choices[kind]
            noun = noun_words(region, choose_head(heads, rng), locator.name)
            anchor = ""
            if locator.anchor >= 0:
                anchor = noun_words(
                    regions[locator.anchor], choose_head(np.flatnonzero(named_HT[:, locator.anchor]).tolist(), rng)
                )
            templates = TEMPLATES[locator.name]
            text = templates[int(rng.integers(len(templates)))].format(n=noun, a=anchor)
            written.append(Expression(t, text, kind))
    return written


def check_sizes(regions: Sequence[Region]) -> None:
    """Raise ValueError unless all masks have one size."""
    sizes = sorted({region.mask.shape for region in regions})
    if len(sizes) > 1:
        raise ValueError(f"masks of one scene have sizes {sizes}; give every region the mask of the whole image")


def kinds_of(locator: Locator, heads: list[int]) -> list[tuple[str, list[int]]]:
    """The kinds of expression a locator makes; without one, the noun alone decides."""
    if locator.kind:
        return [(locator.kind, heads)]
    return [(("category", "colour")[head], [head]) for head in heads]


def choose_head(heads: Sequence[int], rng: np.random.Generator) -> int:
    """Category, or colour and category; where both will do, the richer one now and then."""
    return heads[0] if len(heads) == 1 else int(rng.random() < RICH_RATE)


def noun_words(region: Region, head: int, locator: str = "") -> str:
    """The category (head 0), or the colour and the category (1), as they are said with a locator."""
    noun = f"{region.colour} {region.category}" if head else region.category
    return f"area of {noun}" if region.category in MASS_NOUNS and locator in ("largest", "smallest") else noun


def _pick_kind(kinds: Sequence[str], rng: np.random.Generator) -> str:
    """One of the kinds that are possible, so that the kinds come out more even than they are possible."""
    reached = np.cumsum([KIND_WEIGHTS[kind] for kind in kinds])
    return kinds[int(np.searchsorted(reached, rng.random() * reached[-1], side="right"))]
