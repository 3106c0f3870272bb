"""Everything that the writer could say of a scene, in all of its wordings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from benchmark.expressions.predicates import FALSE, TRUE, Locator, nouns, positions, relations, superlatives
from benchmark.expressions.regions import Region
from benchmark.expressions.writer import TEMPLATES, noun_words


def sayable(regions: Sequence[Region]) -> dict[str, int]:
    """Sentence -> the one region of which it is TRUE; it is FALSE of every other one."""
    nouns_HTR = nouns(regions)
    named_HT = (nouns_HTR != FALSE).sum(axis=-1) == 1
    anchors = [k for k, region in enumerate(regions) if region.target and named_HT[:, k].any()]
    locators = [Locator("", "", np.array(TRUE, np.int8)), *positions(regions)]
    locators += [*superlatives(regions, nouns_HTR), *relations(regions, nouns_HTR, anchors)]
    found: dict[str, int] = {}
    for locator in locators:
        verdict_HTR = np.minimum(nouns_HTR, locator.verdict)
        proven_HT = ((verdict_HTR != FALSE).sum(axis=-1) == 1) & (np.diagonal(verdict_HTR, axis1=1, axis2=2) == TRUE)
        names = [""]
        if locator.anchor >= 0:
            heads = np.flatnonzero(named_HT[:, locator.anchor])
            names = [noun_words(regions[locator.anchor], int(head)) for head in heads]
        for (head, t), name, template in itertools.product(
            np.argwhere(proven_HT).tolist(), names, TEMPLATES[locator.name]
        ):
            if regions[t].target:
                text = template.format(n=noun_words(regions[t], head, locator.name), a=name)
                assert found.setdefault(text, t) == t
    return found
