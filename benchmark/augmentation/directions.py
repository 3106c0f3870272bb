"""Sentences of flipped and turned images: the words for directions, rewritten so that what was true stays true.

A sentence is read from left to right by RULES, the first that fits at a word. A rule knows a phrase, and the phrase
that says the same when horizontal has become vertical ("on the left" and "at the top"); where left and right or top and
bottom are only exchanged, its words are exchanged in place. A rule without such a phrase is not turned by 90 degrees.

A word for a direction in a phrase that no rule knows is never guessed at: the words stay as they are, and `allowed` has
only what leaves that direction alone. "The top of the building" may be its roof: no more than left and right are
exchanged. "The left wing" may be the airplane's own left: nothing is done.

What the writer says turns into what the writer says (benchmark/expressions/writer.py), and back into the same words.
Exceptions, synonyms on the way back from a quarter turn: "left of" comes back as "to the left of"; of what only others
say, "on the top" as "at the top", "at the left" as "on the left", "the top ship" as "the upper ship", "the left-hand
side" as "the left side", "on the left of the image" as "on the left side of the image", "uppermost" as "topmost".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from benchmark.augmentation.symmetry import (
    BOTTOM,
    FLIPS,
    IDENTITY,
    LEFT,
    LEFT_RIGHT,
    RIGHT,
    ROTATIONS,
    SYMMETRIES,
    TOP,
    Symmetry,
)  # fmt: skip

_PAIRS = (  # words of one form; each of two, at opposite ends of one axis
    ({LEFT: "left", RIGHT: "right"}, {TOP: "top", BOTTOM: "bottom"}),
    ({LEFT: "left", RIGHT: "right"}, {TOP: "upper", BOTTOM: "lower"}),
    ({LEFT: "left", RIGHT: "right"}, {TOP: "above", BOTTOM: "below"}),
    ({LEFT: "leftmost", RIGHT: "rightmost"}, {TOP: "topmost", BOTTOM: "bottommost"}),
    ({LEFT: "leftmost", RIGHT: "rightmost"}, {TOP: "uppermost", BOTTOM: "lowermost"}),
    ({LEFT: "west", RIGHT: "east"}, {TOP: "north", BOTTOM: "south"}),
)
_FORMS: dict[str, dict[int, str]] = {}  # "upper" -> the same form in all four directions
_NAMED: dict[str, int] = {}
for _horizontal, _vertical in _PAIRS:
    for _direction, _word in {**_horizontal, **_vertical}.items():
        _FORMS.setdefault(_word, {**_horizontal, **_vertical})
        _NAMED[_word] = _direction

_H, _V = r"(?P<d>left|right)", r"(?P<d>top|bottom|upper|lower)"
_IMAGE = (
    r"(?P<image>(?:the|this)\s+(?:whole\s+|entire\s+)?(?:image|picture|photo|photograph|scene|frame|view)\b"
    r"(?!['’]|\s+(?:cent(?:er|re)|middle|edge|corner|border|side)))"
)
_HAND = r"(?:[\s-]?hand)?"
_PART = r"(?:part|side|edge|half|portion|section|area|region|quarter|third|border|margin|end|boundary|corner)s?\b"
_ENDS = (  # nothing follows that the place could be of
    r"(?=\s*(?:$|[.,;:!?)])|\s+(?:and(?!\s+(?:the\s+)?(?:left|right|top|bottom)\b)|with|that|which|is|are|next|near|nearest|in|on|at|beside|between|above|below|close"
    r"|closer|closest|adjacent|parked|located|surrounded)\b)"
)
_THING = (  # what "the left ..." surely means by its place: the field's categories, sizes, colours
    r"(?=\s+(?:one|ones|object|two|three|ship|boat|vessel|vehicle|car|truck|bus|van|airplane|plane|aircraft|airport"
    r"|helicopter|storage|oil|tank|tanks|tennis|basketball|baseball|soccer|football|ground|track|golf|playing|court"
    r"|courts|field|harbou?r|dock|pier|bridge|overpass|dam|stadium|chimney|windmill|swimming|pool|roundabout|building"
    r"|house|roof|road|runway|train|station|expressway|toll|service|parking|container|crane|helipad|small|large|big"
    r"|little|long|short|tiny|white|black|red|green|blue|yellow|gr[ae]y|brown|orange|dark|light)s?\b)"
)
_DETERMINED = (
    r"(?=\s+(?:the|an?|another|one|two|three|four|five|six|all|both|some|it|them|this|that|these|those|its)\b)"
)
CORNER, AXIS = "two words that exchange their axes", "the word for the other axis"
_MOST = r"[\s-]?most"
_MID = r"(?:cent(?:er|re)|middle)"


@dataclass(frozen=True)
class _Rule:
    """A phrase; d, d2: its words for directions. across: the phrase that it becomes when the axes are exchanged, with
    the direction in a form in braces ("at the {top}", whatever the direction is), CORNER or AXIS; None: it is not
    turned. fixed: its words stay as they are."""

    pattern: re.Pattern[str]
    across: str | None
    symmetries: tuple[Symmetry, ...]
    fixed: bool = False


def _rule(pattern: str, across: str | None) -> _Rule:
    symmetries = FLIPS if across is None else SYMMETRIES
    return _Rule(re.compile(rf"\b{pattern}", re.IGNORECASE), across, symmetries)


def _unsure(pattern: str, *symmetries: Symmetry) -> _Rule:
    """Words that stay as they are."""
    return _Rule(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), None, (IDENTITY, *symmetries), fixed=True)


_PREP = (
    r"(?P<prep>near|nearest|towards?|from|along|by|(?:close|closer|closest|near|nearer|nearest|next|farthest|furthest)"
    r"\s+to|(?:far|farther|farthest|furthest|away)\s+from)"
)
RULES: Sequence[_Rule] = (
    # words that look like directions and are none
    _unsure(
        r"right(?=\s+(?:next|beside|near|behind|by|under|above|below|between|in|at|on|along|after|before)\b)"
        r"|right[\s-]angle[sd]?|right\s+triangle|right[\s-]of[\s-]way|left[\s-]?overs?|top[\s-]?(?:hat|soil)|topsoil",
        *SYMMETRIES,
    ),
    # corners stay corners, north-east stays a point of the compass
    _rule(rf"(?P<d>top|bottom|upper|lower)(?:[\s-]+|\s+and\s+|)(?P<d2>left|right)(?:{_MOST})?\b", CORNER),
    _rule(r"(?P<d>left|right)(?:[\s-]+|\s+and\s+)(?P<d2>top|bottom|upper|lower)\b", CORNER),
    _rule(r"(?P<d>north|south)[\s-]?(?P<d2>east|west)(?=(?:ern(?:most)?|erly|wards?|bound)?\b)", CORNER),
    _rule(r"(?P<d>north|south|east|west)(?=(?:ern(?:most)?|erly|wards?|bound|most)?\b)", "{north}"),
    _rule(
        rf"{_V}[\s-]+{_MID}\b|{_MID}[\s-]+(?:top|bottom|left|right|upper|lower)\b|(?:left|right)[\s-]+{_MID}\b", None
    ),
    # places in the image
    _rule(rf"on\s+the\s+{_H}\s+side\s+of\s+{_IMAGE}", "at the {top} of {image}"),
    _rule(rf"at\s+the\s+(?P<d>top|bottom)\s+of\s+{_IMAGE}", "on the {left} side of {image}"),
    _rule(rf"(?:on|at|in|to)\s+the\s+{_H}\s+of\s+{_IMAGE}", "at the {top} of {image}"),
    _rule(rf"(?:on|in)\s+the\s+(?P<d>top|bottom)\s+of\s+{_IMAGE}", "on the {left} of {image}"),
    _rule(rf"in\s+the\s+(?P<d>upper|lower)\s+part\s+of\s+{_IMAGE}", "on the {left} side"),
    _rule(rf"on\s+the\s+{_H}\s+side\b(?!\s+of\b)", "in the {upper} part of the image"),
    # order
    _rule(r"farthest\s+to\s+the\s+(?P<d>left|right)" + _ENDS, "closest to the {top} of the image"),
    _rule(rf"closest\s+to\s+the\s+(?P<d>top|bottom)\s+of\s+{_IMAGE}", "farthest to the {left}"),
    _rule(rf"(?P<d>left|right){_MOST}\b", "{topmost}"),
    _rule(rf"(?P<d>top|bottom|upper|lower){_MOST}\b", "{leftmost}"),
    _rule(r"from\s+(?P<d>left|right|top|bottom)\s+to\s+(?P<d2>left|right|top|bottom)\b", "from {top} to {top2}"),
    # beside something
    _rule(rf"(?:located\s+)?on\s+the\s+{_H}\s+of{_DETERMINED}", "located {above}"),
    _rule(rf"to\s+the\s+{_H}\s+of{_DETERMINED}", "{above}"),
    _rule(rf"{_H}\s+of{_DETERMINED}", "{above}"),
    _rule(rf"located\s+(?P<d>above|below){_DETERMINED}", "on the {left} of"),
    _unsure(
        r"(?:fly(?:ing)?|flies|hover\w*|pass\w*|cross\w*|suspended|elevated|raised|built|float\w*)\s+above",
        LEFT_RIGHT,
    ),
    _rule(rf"(?P<d>above|below){_DETERMINED}", "to the {left} of"),
    # parts of something, and the ship that is there
    _rule(rf"{_H}{_HAND}[\s-]+(?=edge)", "{top} "),
    _rule(rf"(?P<d>left|right|upper|lower|top|bottom){_HAND}[\s-]+(?={_PART})", "{upper} "),
    _rule(rf"(?:(?<=the )|(?<=a )|(?<=an )){_H}{_HAND}{_THING}", "{upper}"),
    _rule(rf"(?:(?<=the )|(?<=a )|(?<=an )){_V}{_THING}", "{left}"),
    # places again, of which nothing says that the image is meant
    _rule(rf"(?:on|at|in)\s+the\s+{_H}{_ENDS}", "at the {top}"),
    _rule(rf"(?:on|at|in)\s+the\s+(?P<d>top|bottom){_ENDS}", "on the {left}"),
    _rule(rf"{_PREP}\s+the\s+(?P<d>left|right|top|bottom)\s+of\s+{_IMAGE}", "{prep} the {top} of {image}"),
    _rule(rf"{_PREP}\s+the\s+(?P<d>left|right|top|bottom){_ENDS}", "{prep} the {top}"),
    _rule(rf"to\s+the\s+(?:far\s+)?{_H}{_ENDS}", None),
    _rule(rf"(?:on|at|in)\s+the\s+(?:far|very|extreme)\s+(?P<d>left|right|top|bottom){_ENDS}", None),
    # axes
    _unsure(r"vertical(?=\s+(?:\w+\s+)?(?:tank|cylinder|tower|tail|fin|stabili[sz]er|take)s?)", *FLIPS),
    _rule(r"(?P<axis>horizontal|vertical)(?=(?:ly)?\b)", AXIS),
    _unsure(r"rows?|columns?|landscape|portrait", *FLIPS),
    # words that may be the object's own, or up in the air: what leaves them alone
    _unsure(
        r"top|bottom|upper|lower|above|below|under|underneath|beneath|over|atop|up|down|up-?wards?|down-?wards?|upside"
        r"|uphill|downhill|behind|front|ahead|back|rear|higher|highest|lowest",
        LEFT_RIGHT,
    ),
    _unsure(
        r"letters?|numbers?|digits?|texts?|words?|logos?|[bfgjknpqrsz]-?shaped?|(?:counter|anti)?-?clockwise|spirals?",
        *ROTATIONS,
    ),
    _unsure(r"left|right|mirrored|o['’]clock|west\w*|east\w*|north\w*|south\w*"),
)
_COUNTS = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|last|1st|2nd|3rd|[4-9]th)\b(?!\s*-?\s*(?:\w+est|most)\b)",
    re.IGNORECASE,
)
_COUNTED_FROM = re.compile(r"\bfrom\s+(?:the\s+)?(?:top|bottom|left|right|north|south|east|west)\b", re.IGNORECASE)
_NAMES = re.compile(r"(?<=[a-z,] )(?:North|South|East|West)")  # "the North Sea"
_WORD = re.compile(r"\b\w+")
_DIRECTION = re.compile("|".join(sorted(_FORMS, key=len, reverse=True)), re.IGNORECASE)
_ARTICLE = re.compile(rf"\b(a)n?(?=\s+({'|'.join(_FORMS)}))", re.IGNORECASE)


def allowed(sentence: str) -> tuple[Symmetry, ...]:
    """The symmetries under which `rewrite` surely keeps a sentence true, in the order of SYMMETRIES; always the
    identity."""
    return _read(sentence)[1]


def rewrite(sentence: str, symmetry: Symmetry) -> str:
    """The sentence of the image that a symmetry has moved.

    Raises ValueError for a symmetry that the sentence does not allow.
    """
    pieces, symmetries = _read(sentence)
    if symmetry not in symmetries:
        raise ValueError(f"{sentence!r} cannot be said of the image after {symmetry}; draw one of `allowed`")
    if symmetry == IDENTITY:
        return sentence
    moved = [piece if isinstance(piece, str) else _moved(*piece, symmetry) for piece in pieces]
    text = _ARTICLE.sub(lambda found: found[1] + "n" * (found[2][0].lower() in "aeiou"), "".join(moved))
    return text[:1].upper() + text[1:] if sentence[:1].isupper() else text


_Piece = str | tuple[_Rule, re.Match[str]]


@lru_cache(maxsize=1 << 16)
def _read(sentence: str) -> tuple[tuple[_Piece, ...], tuple[Symmetry, ...]]:
    """A sentence cut into plain text and phrases, and what all of it allows."""
    pieces: list[_Piece] = []
    left = set(SYMMETRIES)
    if (_COUNTS.search(sentence) and not _COUNTED_FROM.search(sentence)) or _NAMES.search(sentence):
        left = {IDENTITY}
    place = 0
    while word := _WORD.search(sentence, place):
        pieces.append(sentence[place : word.start()])
        phrase = next(((rule, match) for rule in RULES if (match := rule.pattern.match(sentence, word.start()))), None)
        pieces.append(phrase or word.group())
        place = phrase[1].end() if phrase else word.end()
        left &= set(phrase[0].symmetries if phrase else SYMMETRIES)
    pieces.append(sentence[place:])
    return tuple(pieces), tuple(symmetry for symmetry in SYMMETRIES if symmetry in left)


def _moved(rule: _Rule, match: re.Match[str], symmetry: Symmetry) -> str:
    """A phrase, said of the moved image."""
    if rule.fixed:
        return match.group()
    if rule.across is None or not symmetry.crosses:
        return _DIRECTION.sub(
            lambda word: _in_form(word.group(), symmetry.direction(_named(word.group()))), match.group()
        )
    groups = match.groupdict()
    if rule.across is AXIS:
        return {"horizontal": "vertical", "vertical": "horizontal"}[groups["axis"].lower()]
    if rule.across is CORNER:  # the first word stays the one for the vertical, or for the horizontal
        first, second = (symmetry.direction(_named(groups[name])) for name in ("d", "d2"))
        between = match.string[match.end("d") : match.start("d2")]
        tail = match.string[match.end("d2") : match.end()]
        return _in_form(groups["d"], second) + between + _in_form(groups["d2"], first) + tail
    direction = symmetry.direction(_named(groups["d"]))
    forms = {form: words[direction] for form, words in _FORMS.items()}
    if "d2" in groups:
        forms["top2"] = _in_form("top", symmetry.direction(_named(groups["d2"])))
    return rule.across.format(**{**forms, **groups})


def _named(word: str) -> int:
    """The direction of a word."""
    return _NAMED[word.lower()]


def _in_form(word: str, direction: int) -> str:
    """A direction in the form of a word: of "upper", "lower" for the bottom."""
    return _FORMS[word.lower()][direction]
