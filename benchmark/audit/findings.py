"""What every finding of an audit is: a rule, a count, a few examples.

Examples come the worst first where a finding has a measure, else in order of SHA-256 of the sample's or image's name;
ties are broken so too. So the same dataset shows the same examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.image_facts import ImageFacts
from benchmark.audit.placement import Placement

EXAMPLES = 8  # shown of each finding
WORST, BY_NAME = "the worst first", "in order of SHA-256 of the name"


@dataclass(frozen=True)
class Occurrence:
    """One case: the samples or, where it is about files, the images it is about, and what is wrong."""

    sample_ids: tuple[str, ...]
    images: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Finding:
    """count: of all cases, `unit` says of what. checked: how many were looked at; 0: the rule did not apply here."""

    name: str
    rule: str
    unit: str
    count: int
    checked: int
    order: str
    examples: tuple[Occurrence, ...]


@dataclass(frozen=True, eq=False)
class Facts:
    """samples: the table with what was measured of each row. images: by path, in the table's order. placement: of some
    of them, how their masks lie (placement.py)."""

    samples: pd.DataFrame
    images: dict[str, ImageFacts]
    heat: NDArray[np.float64]
    placement: dict[str, Placement]


Case = tuple[float, Occurrence]  # the worse, the higher
Row = dict[Hashable, Any]


def finding(name: str, rule: str, unit: str, checked: int, cases: Iterable[Case], order: str = BY_NAME) -> Finding:
    def place(case: Case) -> tuple[float, str, str]:
        key = (case[1].sample_ids or case[1].images)[0]
        return (-case[0] if order == WORST else 0.0, hashlib.sha256(key.encode()).hexdigest(), case[1].detail)

    found = sorted(cases, key=place)
    return Finding(name, rule, unit, len(found), checked, order, tuple(example for _, example in found[:EXAMPLES]))


def of_row(row: Row, detail: str) -> Occurrence:
    return Occurrence((str(row["sample_id"]),), (str(row["image"]),), detail)
