"""What a sample is like, so that metrics can be broken down by it: size, length and kind of expression, distractors.

All of it follows from the table of samples, whatever the dataset, so the kind of an expression is read from its words
(`expression_kind`), also where the writer of the sentence knew it. It is stored once per dataset, beside its results: a
report then needs no dataset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.data.files import read_table, write_table

COLUMNS = ("sample_id", "size", "words", "kind", "distractors")
KINDS = ("relation", "superlative", "position", "colour", "category")  # the first whose words are there

# stratum -> lower bounds of its bins; the last goes on without end, the first starts at the least there is
SIZE_BINS = (0.0, 0.005, 0.02, 0.1)  # of the image's area
WORD_BINS = (1, 4, 7, 11)
DISTRACTOR_BINS = (0, 1, 2, 4)
STRATA: Mapping[str, tuple[str, tuple[str, ...]]] = {  # stratum -> what it says, its values in order
    "size": (
        "object size (share of the image)",
        ("below 0.5 %", "0.5 to 2 %", "2 to 10 %", "10 % or more"),
    ),
    "words": ("length of the expression (words)", ("1 to 3", "4 to 6", "7 to 10", "11 or more")),
    "kind": ("kind of expression", KINDS),
    "distractors": ("distractors (others of its category in the image)", ("none", "1", "2 or 3", "4 or more")),
}

_SIDE = r"(?:top|bottom|left|right|upper|lower|north|south|east|west)"
_IMAGE = r"(?:image|picture|photo|scene|frame|view)"
# "the left of the image" and "the bottom of the picture" are places in the image, no other object
_OF_IMAGE = rf"(?:\s+(?:of|in)\s+(?:the|this)\s+(?:whole\s+|entire\s+)?{_IMAGE}\b)"
_EDGE = rf"(?:the\s+)?(?:{_SIDE}\b|(?:cent(?:er|re)|middle|edge|border|corner)s?\b|{_IMAGE}\b)"
_RELATION = re.compile(
    rf"\b(?:left|right|east|west|north|south|top|bottom|front|side|edge|end|back|rear)\s+of\b(?!\s+(?:the|this)\s+{_IMAGE})"
    rf"|\b(?:above|below|beneath|under(?:neath)?|beside|behind|between|among|opposite|adjacent|alongside|around|inside)\b"
    rf"|\b(?:next|near(?:er|est)?|close(?:r|st)?|farthest|furthest|adjacent|attached|connected|parallel|perpendicular)"
    rf"\s+(?:to|from|by|with)\s+(?!{_EDGE})"
    rf"|\bnear\s+(?!{_EDGE})"
    rf"|\b(?:along|across|surrounded\s+by|in\s+front|on\s+top|away\s+from|than)\b"
)
_SUPERLATIVE = re.compile(
    r"\b(?:largest|biggest|smallest|tiniest|longest|shortest|tallest|highest|lowest|widest|narrowest|broadest|brightest"
    r"|darkest|nearest|closest|farthest|furthest|outermost|innermost|(?:left|right|top|bottom|upper|lower)[\s-]?most"
    r"|most|least)\b"
)
_POSITION = re.compile(rf"\b(?:{_SIDE}|cent(?:er|re|ral)|middle|corner)\b")
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black", "white", "gray", "grey",
    "cyan", "beige", "turquoise", "silver", "golden", "dark", "colorful", "colourful",
)  # fmt: skip
_COLOUR = re.compile(rf"\b(?:{'|'.join(COLOURS)})\b")


def expression_kind(expression: str) -> str:
    """What an expression goes by, one of KINDS: the first of these whose words it has.

    relation: another object ("next to the road", "left of the ship"); superlative: an extreme ("the largest",
    "leftmost"); position: a place in the image ("on the left", "the upper ship"); colour; category: none of these.
    A rule over English words: it errs where a relation is said in other words than these.
    """
    text = " ".join(expression.casefold().split())
    for kind, words in zip(KINDS, (_RELATION, _SUPERLATIVE, _POSITION, _COLOUR), strict=False):
        if words.search(text):
            return kind
    return "category"


def describe(samples: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS of some rows of a dataset's table, in their order; all rows of an image must be among them.

    size: mask_area over the image's area, in [0, 1]. words: of the expression, split at blanks. distractors: other
    masks of the same category in the same image that the dataset knows; <NA> without a category.
    """
    group, target = ["image_id", "category"], samples["mask_area"] > 0
    objects = samples[target].groupby(group)["mask"].nunique().rename("objects")
    beside = samples[group].join(objects, on=group)["objects"].fillna(0).astype("Int64") - target.astype("Int64")
    distractors = beside.where(samples["category"].notna())
    return pd.DataFrame(
        {
            "sample_id": samples["sample_id"],
            "size": samples["mask_area"] / (samples["height"] * samples["width"]),
            "words": samples["expression"].map(lambda text: len(text.split())).astype("int64"),
            "kind": samples["expression"].map(expression_kind),
            "distractors": distractors,
        }
    ).reset_index(drop=True)


def strata(described: pd.DataFrame) -> pd.DataFrame:
    """`describe`'s rows with each column in words: sample_id, and one of STRATA's values (or <NA>) for each stratum."""
    found = {"sample_id": described["sample_id"]}
    bins = {"size": SIZE_BINS, "words": WORD_BINS, "distractors": DISTRACTOR_BINS}
    for name, (_, values) in STRATA.items():
        if name in bins:
            known = described[name].notna()
            place = np.searchsorted(bins[name], described[name].fillna(0).to_numpy(np.float64), side="right") - 1
            column = pd.Series(np.array(values, dtype=object)[place], index=described.index).where(known, None)
        else:
            column = described[name]
        found[name] = column
    return pd.DataFrame(found)


def save_strata(path: Path, samples: pd.DataFrame) -> None:
    """Write `describe` of some samples, all or nothing."""
    write_table(path, describe(samples))


def load_strata(path: Path) -> pd.DataFrame:
    """What `save_strata` wrote.

    Raises FileNotFoundError if it is not there, SampleError for another table.
    """
    return read_table(path, COLUMNS, f"fetch the dataset: python -m experiments.fetch --dataset {path.parent.name}")
