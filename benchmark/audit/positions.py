"""Which absolute place in the image an expression states, if any, and whether a mask contradicts it.

A place is taken as absolute only where the words leave hardly another reading, as a false alarm costs more than a miss:

1. Preposition, side and perhaps a part ("at the top", "in the upper left corner", "on the right-hand side"), and then
   either the image by name ("of the image", "of the scene") or the end of the clause: the end, a punctuation mark, or
   one of CONTINUED ("with", "that", "is"). "on the right side of the road", "top of the building" and "in the middle
   between two ships" do not end there and are not taken.
2. Nothing before it in the expression relates to something else, moves or denies (RELATED: "above", "next to", "closest
   to", "from", "not", ...), and no other side is named there: in "the vehicle above the chimney at the bottom" it is
   the chimney that is at the bottom.
3. "to the left" is taken only after a verb of place and with the image named ("located to the left of the image").
   "the leftmost ship" and "the left ship" compare with other ships and are not taken.
4. Several places in one expression must agree, or none is taken. A bare centre beside a side says nothing more.

A mask contradicts a side if its centroid lies more than FAR of the image's extent away from it ("top": y > FAR *
height), and the centre if its centroid lies within EDGE of one of the image's edges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FAR = 0.6  # of the image's extent, from the stated side: beyond the middle by a tenth
EDGE = 0.2  # of the image's extent, from any edge

_SIDES = {"top": 0.0, "upper": 0.0, "bottom": 1.0, "lower": 1.0, "left": 0.0, "right": 1.0}
_V, _H, _C = r"(?:top|upper|bottom|lower)", r"(?:left|right)", r"(?:center|centre|middle|central)"
_JOIN = r"(?:[\s-]+|\s+and\s+)?"
_PLACE = (
    rf"(?:{_V}{_JOIN}(?:{_H}|{_C})|{_H}{_JOIN}(?:{_V}|{_C})|{_C}{_JOIN}(?:{_V}|{_H})"  # corners and middles of sides
    rf"|(?P<single>{_V}|{_H}|{_C}))"
)
_PART = r"(?:part|side|corner|edge|half|portion|section|area|region|quadrant|border|margin|end|position)"
_IMAGE = r"(?:image|picture|photo|photograph|scene|frame|view|screen)"
# "the left of the image center" is about the centre
_OF_IMAGE = rf"\s+(?:of|in)\s+(?:(?:the|this)\s+)?(?:(?:whole|entire)\s+)?{_IMAGE}\b(?!'s|\s+(?:{_C}|{_PART})\b)"
CONTINUED = ("with", "that", "which", "is", "are")
_ENDS = rf"(?=\s*(?:$|[.,;:!?)])|\s+(?:{'|'.join(CONTINUED)})\b)"
_STATED = re.compile(
    r"\b(?P<lead>(?:located|situated|positioned|placed|is|are)\s+to|at|in|on|near|towards?|along|within)\s+"
    rf"(?P<the>the\s+)?(?P<image>{_IMAGE}'s\s+)?(?:(?:very|far|extreme|exact)\s+)*"
    rf"(?P<place>{_PLACE})(?:[\s-]+hand)?(?P<part>\s+{_PART})?\b(?:(?P<of>{_OF_IMAGE})|{_ENDS})"
)
_ANY_SIDE = re.compile(rf"\b(?:{_V}|{_H}|{_C})(?:most)?\b")
_BETWEEN = re.compile(r"\b(?:between|among|amid|surrounded)\b")

RELATED = (
    "above", "below", "under", "underneath", "beneath", "over", "beside", "besides", "between", "behind", "ahead",
    "adjacent", "next", "near", "nearer", "nearest", "close", "closer", "closest", "farther", "farthest", "further",
    "furthest", "along", "alongside", "around", "across", "opposite", "from", "with", "without", "by", "than", "beyond",
    "past", "through", "against", "inside", "outside", "where", "whose", "has", "have", "having",
    r"surround\w*", r"contain\w*", r"connect\w*", r"attach\w*", r"cross\w*", "parallel", "perpendicular",
    r"fac(?:es|ing)", r"point(?:s|ing)", r"mov(?:es|ing)", r"head(?:s|ing|ed)", r"lead(?:s|ing)", r"go(?:es|ing)",
    r"driv(?:es|ing)", r"travel\w*", r"sail(?:s|ing)", r"fl(?:ies|ying)", r"extend\w*", r"stretch\w*", r"run(?:s|ning)",
    "compared", "relative", "not", "no", "neither", "nor", "except", "excluding", "rather", r"to(?!\s+be\b)",
    rf"(?:side|edge|end|front|back|corner|north|south|east|west)\s+of(?!\s+(?:the|this)\s+{_IMAGE})",
)  # fmt: skip
_RELATED = re.compile(rf"\b(?:{'|'.join(RELATED)})\b|n't\b")


@dataclass(frozen=True)
class Position:
    """Where an expression says its object is: 0 left or top, 0.5 the centre, 1 right or bottom; None: not said."""

    words: str
    x: float | None
    y: float | None


def stated_position(expression: str) -> Position | None:
    """The absolute place an expression states by the rules above, or None."""
    text = " ".join(expression.casefold().replace("’", "'").split())
    found, before = [], 0
    clear = ""  # what stands before a match, without the places already taken
    for match in _STATED.finditer(text):
        clear += text[before : match.start()]
        before = match.end()
        if _is_absolute(match, text) and not _RELATED.search(clear) and not _ANY_SIDE.search(clear):
            found.append(_read(match))
        else:
            clear += match.group()
    return _agreed(found)


def _is_absolute(match: re.Match[str], text: str) -> bool:
    named = bool(match["of"] or match["image"])
    if match["lead"].endswith(" to") or (match["single"] and not match["the"]):
        return named
    central = re.fullmatch(_C, match["place"])
    return named or not (central and _BETWEEN.search(text, match.end()))


def _read(match: re.Match[str]) -> Position:
    x = y = None
    for word in re.findall(rf"{_V}|{_H}", match["place"]):
        if re.fullmatch(_H, word):
            x = _SIDES[word]
        else:
            y = _SIDES[word]
    if re.search(_C, match["place"]):  # of the axis of which no side is said
        x, y = 0.5 if x is None else x, 0.5 if y is None else y
    return Position(match.group(), x, y)


def _agreed(found: list[Position]) -> Position | None:
    """All places as one, or None where they say different things."""
    sided = [place for place in found if (place.x, place.y) != (0.5, 0.5)] or found
    if not sided:
        return None
    xs, ys = {place.x for place in sided} - {None}, {place.y for place in sided} - {None}
    if len(xs) > 1 or len(ys) > 1:
        return None
    return Position(", ".join(place.words for place in sided), next(iter(xs), None), next(iter(ys), None))


def contradiction(position: Position, x: float, y: float) -> float:
    """How far beyond the limit the centroid lies, in shares of the extent; 0: no contradiction.

    x, y: the centroid as shares of width and height, counted from the top left.
    """
    beyond = [0.0]
    for said, is_at in ((position.x, x), (position.y, y)):
        if said is not None:
            beyond.append(EDGE - min(is_at, 1 - is_at) if said == 0.5 else abs(is_at - said) - FAR)
    return max(beyond)
