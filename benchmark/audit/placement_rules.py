"""Images whose masks lie beside their objects, as if they had been turned or mirrored without them (placement.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.findings import WORST, Facts, Finding, Occurrence, finding
from benchmark.audit.placement import LOOKED_AT, ORIENTATIONS, Placement

# Another orientation must be better by so much, by this over the root of the contour's length in pixels, and so many
# times. Of 210 images of vhr10, dubai and synthetic, whose masks are right, none is beyond 6.6 over the root; turned,
# 19 of 20 of vhr10's and synthetic's are beyond 10.
MARGIN, CHANCE, TIMES = 0.3, 10.0, 1.4
SHARED, SURE = 0.1, 6.0  # over all images: the mean gain of an orientation, and its multiple of the standard error


def beside(measured: Facts) -> Finding:
    """Images whose masks lie better in another orientation."""
    shared = _shared(list(measured.placement.values()))
    cases = []
    for name, placement in measured.placement.items():
        own = placement.contrast[1]
        best = max((way for way in placement.contrast if way > 1), key=placement.contrast.__getitem__)
        gain = placement.contrast[best] - own
        alone = gain > max(MARGIN, CHANCE / placement.pixels**0.5) and gain > (TIMES - 1) * own
        if not alone and shared is not None and placement.contrast.get(shared, 0) > own:
            best, gain, alone = shared, placement.contrast[shared] - own, True
        if alone:
            detail = (
                f"contrast along the masks' contours {own:.2f}, {own + gain:.2f} if the masks were {ORIENTATIONS[best]}"
            )
            cases.append((gain, Occurrence(_samples(measured, name), (name,), detail)))
    rule = (
        "The image has more contrast along its masks' contours if the masks are turned or mirrored: by "
        f"{TIMES} times or more and by more than chance allows, or in the one orientation in which all images together "
        f"have more. At most {LOOKED_AT:,} images are looked at."
    )
    return finding("masks beside their objects", rule, "images", len(measured.placement), cases, WORST)


def _samples(measured: Facts, image: str) -> tuple[str, ...]:
    return (str(measured.samples.loc[measured.samples["image"] == image, "sample_id"].iloc[0]),)


def _shared(placements: Sequence[Placement]) -> int | None:
    """The orientation in which all images together surely have more contrast than as they are; None: there is none."""
    best, highest = None, SHARED
    for way in ORIENTATIONS:
        gains: NDArray[np.float64] = np.array(
            [one.contrast[way] - one.contrast[1] for one in placements if way in one.contrast]
        )
        if len(gains) < 5:
            continue
        mean, error = float(gains.mean()), float(gains.std(ddof=1)) / len(gains) ** 0.5
        if mean > highest and mean > SURE * error:
            best, highest = way, mean
    return best
