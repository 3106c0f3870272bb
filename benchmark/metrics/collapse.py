"""Collapse: a run whose masks are (nearly) all empty, all full or all the same. Its metrics say that a training failed,
not what the method can do.

The first of KINDS that holds, each from a share of LEVEL on:

    empty      of the samples with a target, those that get an empty mask
    full       of all samples, those whose mask covers at least LEVEL of the image
    constant   the mean IoU of two masks that should differ: on every image, those of the expressions with the smallest
               and the largest true area, where the smaller is at most APART of the larger

Everything follows from a per-sample table and its masks (benchmark/README.md, "Collapse", has the reasons).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from benchmark.data.rle import areas, together
from benchmark.metrics.iou import FloatArray, ratio
from benchmark.metrics.measure import count

LEVEL = 0.95
APART = 0.5  # true areas that far apart cannot have an IoU above it, so that a good model has no two equal masks there
LEAST_PAIRS = 10  # of masks that are compared; of fewer nothing is said

Kind = Literal["empty", "full", "constant"]
KINDS: Mapping[str, str] = {  # in print
    "empty": "empty masks",
    "full": "masks of the whole image",
    "constant": "the same mask for everything",
}


class Collapse(BaseModel):
    """How a method collapsed; share: what was measured of it, in [LEVEL, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    share: Annotated[float, Field(ge=LEVEL, le=1), AfterValidator(lambda value: round(value, 6))]

    @property
    def title(self) -> str:
        """In print, for example "empty masks"."""
        return KINDS[self.kind]


def find_collapse(lines: pd.DataFrame, masks: pd.DataFrame | None) -> Collapse | None:
    """How the predictions of a split collapsed; None if they did not.

    Args:
        lines: the per-sample table (benchmark/metrics/iou.py).
        masks: sample_id, prediction (COCO compressed RLE) of the same samples; None where they were not kept: only
            "empty" can be found then.

    Raises:
        ValueError: a mask that is none, or of another size than what it is compared with.
    """
    area = lines["predicted_area"].to_numpy()
    target = lines["mask_area"].to_numpy() > 0
    shares: dict[Kind, float] = {"empty": float(np.mean(area[target] == 0)) if target.any() else 0.0}
    if masks is not None:
        codes = masks.set_index("sample_id")["prediction"].loc[lines["sample_id"]].tolist()
        _, first, image = np.unique(lines["image_id"].to_numpy(str), return_index=True, return_inverse=True)
        pixels = areas([codes[place] for place in first])[0][image]
        shares["full"] = float(np.mean(area / pixels >= LEVEL))
        alike = _ious(codes, _pairs(lines, pixels), pixels)
        shares["constant"] = float(np.mean(alike)) if len(alike) >= LEAST_PAIRS else 0.0
    return next((Collapse(kind=kind, share=share) for kind, share in shares.items() if share >= LEVEL), None)


def _pairs(lines: pd.DataFrame, pixels: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Places of samples whose masks should differ: two of each image, or where too few images have such a pair, of two
    images of as many pixels."""
    area = lines["mask_area"].reset_index(drop=True)
    truth, by_image = area.tolist(), area.groupby(lines["image_id"].to_numpy(), sort=False)
    within = list(zip(by_image.idxmin(), by_image.idxmax(), strict=True))
    order = np.argsort(area.to_numpy(), kind="stable").tolist()
    half = len(order) // 2
    across = [(one, other) for one, other in zip(order, order[half:], strict=False) if pixels[one] == pixels[other]]
    for pairs in (within, across):
        found = [(one, other) for one, other in pairs if truth[one] <= APART * truth[other] and truth[other] > 0]
        if len(found) >= LEAST_PAIRS:
            return found
    return []


def _ious(codes: Sequence[str], pairs: Sequence[tuple[int, int]], pixels: NDArray[np.int64]) -> FloatArray:
    """Of pairs of masks of as many pixels each; 1 if both are empty."""
    found = np.ones(len(pairs))
    sizes = pixels[[one for one, _ in pairs]]
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        chosen = [(codes[one], codes[other]) for one, other in (pairs[row] for row in rows.tolist())]
        for part in together([len(one) + len(other) for one, other in chosen]):
            ones, others = zip(*chosen[part], strict=True)
            # what is shared does not depend on how long a column is
            counts = count(ones, others, int(size), 1)
            found[rows[part]] = ratio(*(counts[name].astype(np.float64) for name in ("intersection", "union")))
    return found
