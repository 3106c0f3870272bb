"""Each convention against a plain restatement that works on masks, sample by sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.metrics.iou import METRIC_NAMES, summary
from benchmark.metrics.protocols import PROTOCOLS, summary_under
from tests.masks import Mask, measured

Pairs = list[tuple[Mask, Mask]]  # truth, prediction


def plain_rsrefseg(pairs: Pairs) -> dict[str, float]:
    """Mean of i / u, sum over sum, passes if strictly above."""
    ious, all_i, all_u = [], 0, 0
    for truth, prediction in pairs:
        i, u = int((truth & prediction).sum()), int((truth | prediction).sum())
        ious.append(i / u if u else math.nan)
        all_i, all_u = all_i + i, all_u + u
    found = {"miou": sum(ious) / len(ious), "oiou": all_i / all_u if all_u else math.nan}
    return found | {f"precision_{x}": sum(iou > x for iou in ious) / len(ious) for x in (0.5, 0.6, 0.7, 0.8, 0.9)}


def plain_lavt(pairs: Pairs) -> dict[str, float]:
    """An empty union counts 0, passes from the threshold on."""
    hits = dict.fromkeys((0.5, 0.6, 0.7, 0.8, 0.9), 0)
    all_iou, all_i, all_u = 0.0, 0, 0
    for truth, prediction in pairs:
        i, u = int((truth & prediction).sum()), int((truth | prediction).sum())
        iou = 0.0 if u == 0 else i / u
        all_iou, all_i, all_u = all_iou + iou, all_i + i, all_u + u
        for x in hits:
            hits[x] += iou >= x
    found = {"miou": all_iou / len(pairs), "oiou": all_i / all_u if all_u else 0.0}
    return found | {f"precision_{x}": count / len(pairs) for x, count in hits.items()}


def plain_lavt_480(pairs: Pairs) -> dict[str, float]:
    def resized(mask: Mask) -> Mask:
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        return np.asarray(grey.resize((480, 480), Image.Resampling.NEAREST)) > 0

    return plain_lavt([(resized(truth), resized(prediction)) for truth, prediction in pairs])


PLAIN = {"rsrefseg": plain_rsrefseg, "lavt": plain_lavt, "lavt_480": plain_lavt_480}


def check(pairs: Pairs) -> None:
    lines = measured(pairs, 480)
    for name, restated in PLAIN.items():
        found = summary_under(lines, PROTOCOLS[name])
        assert found is not None
        assert found == pytest.approx(restated(pairs), nan_ok=True, abs=1e-12), name


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=8, deadline=None)
def test_on_random_masks(seed: int, empty: bool) -> None:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(24):
        shape = tuple(rng.integers(4, 90, size=2))
        truth = rng.random(shape) < rng.random()
        pairs.append((truth, truth ^ (rng.random(shape) < rng.choice([0.0, 0.2, 0.9]))))
    if empty:
        pairs.append((np.zeros((6, 6), bool), np.zeros((6, 6), bool)))
    check(pairs)


def test_by_hand() -> None:
    ten = np.zeros((4, 10), bool)
    ten[0] = True
    half = np.zeros((4, 10), bool)
    half[0, :5] = True  # IoU exactly 1/2 with `ten`
    nothing = np.zeros((4, 10), bool)
    check([(ten, half), (ten, ten), (ten, nothing), (nothing, ten), (nothing, nothing)])
    lines = measured([(ten, half)], 480)
    of = {name: summary_under(lines, protocol) for name, protocol in PROTOCOLS.items()}
    assert [found["precision_0.5"] for found in of.values() if found] == [1.0, 0.0, 1.0, 1.0]
    both_empty = measured([(ten, ten), (nothing, nothing)], 480)
    of = {name: summary_under(both_empty, protocol) for name, protocol in PROTOCOLS.items()}
    assert [found["miou"] for found in of.values() if found] == pytest.approx([1.0, math.nan, 0.5, 0.5], nan_ok=True)


def test_the_benchmark_is_one_of_them() -> None:
    rng = np.random.default_rng(5)
    pairs = [(rng.random((9, 9)) < 0.5, rng.random((9, 9)) < 0.5) for _ in range(20)]
    lines = measured(pairs, 480)
    stated = summary(lines)
    assert summary_under(lines, PROTOCOLS["benchmark"]) == pytest.approx({name: stated[name] for name in METRIC_NAMES})


def test_what_was_not_measured_is_none() -> None:
    lines = measured([(np.ones((3, 3), bool), np.ones((3, 3), bool))])
    assert summary_under(lines, PROTOCOLS["lavt_480"]) is None
    assert summary_under(lines, PROTOCOLS["lavt"]) is not None
