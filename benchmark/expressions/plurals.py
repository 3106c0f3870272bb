"""Nouns in the plural, and small numbers in words."""

from __future__ import annotations

from benchmark.expressions.writer import MASS_NOUNS

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # a larger group is not counted
IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "foot": "feet",
    "mouse": "mice",
    "knife": "knives",
    "shelf": "shelves",
    "leaf": "leaves",
    "wharf": "wharves",
    "quay": "quays",
    **{same: same for same in ("aircraft", "hovercraft", "spacecraft", "watercraft", "sheep", "works")},
    **{same: same for same in ("ruins", "scissors", "skis", "stairs", "barracks", "headquarters")},
}


def plural(noun: str) -> str:
    """The plural of a category, with or without a colour: of its last word.

    Mass nouns come in areas. Otherwise IRREGULAR, which also holds what is plural already; else "es" after s, x, z, ch
    and sh, "ies" for a y after a consonant, "s".
    """
    *before, last = noun.split(" ")
    if last in MASS_NOUNS:
        return f"areas of {noun}"
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return " ".join([*before, last])
