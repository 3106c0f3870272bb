"""The same predictions under the conventions of others, so that a reader sees what the convention is worth.

Repositories of this field agree on the names of their metrics and not on what they do (benchmark/README.md). Given the
per-sample table, each convention is three choices, and everything is computed again from the stored areas. They know
no samples without a target: every row counts for every metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.metrics.iou import METRIC_NAMES, FloatArray, side_columns

LAVT_SIDE = 480  # pixels


@dataclass(frozen=True)
class Protocol:
    """A convention.

    title: in print. passes: whether an IoU of exactly X passes X. empty: IoU of a sample whose union is empty; NaN
    where the code divides 0 by 0. side: both masks are resized to side x side (nearest) first; None: native size.
    """

    title: str
    passes: Literal[">", ">="]
    empty: float
    side: int | None = None

    @property
    def columns(self) -> tuple[str, str]:
        """Where the per-sample table has the intersection and the union at this resolution."""
        return ("intersection", "union") if self.side is None else side_columns(self.side)


PROTOCOLS = {
    "benchmark": Protocol("this benchmark", ">=", 1.0),
    "rsrefseg": Protocol("RSRefSeg", ">", np.nan),
    "lavt": Protocol("LAVT, RMSIN, FIANet, at native size", ">=", 0.0),
    "lavt_480": Protocol(f"LAVT, RMSIN, FIANet, at {LAVT_SIDE} x {LAVT_SIDE}", ">=", 0.0, LAVT_SIDE),
}


def summary_under(lines: pd.DataFrame, protocol: Protocol) -> dict[str, float] | None:
    """METRIC_NAMES of a per-sample table under a protocol, in [0, 1]; NaN where its code divides 0 by 0.

    None where the masks were not measured at the protocol's resolution (`evaluate.sides` in params.yaml).
    """
    if not set(protocol.columns) <= set(lines.columns):
        return None
    intersection, union = (lines[name].to_numpy(dtype=np.float64) for name in protocol.columns)
    iou: FloatArray = np.divide(intersection, union, out=np.full_like(union, protocol.empty), where=union > 0)
    found = {"miou": float(iou.mean()), "oiou": _overall(intersection.sum(), union.sum(), protocol.empty)}
    for name in METRIC_NAMES:
        if name.startswith("precision_"):
            x = float(name.removeprefix("precision_"))
            # a comparison with NaN is false, as in the code that divides 0 by 0
            found[name] = float((iou > x if protocol.passes == ">" else iou >= x).mean())
    return found


def _overall(intersection: float, union: float, empty: float) -> float:
    return float(intersection / union) if union > 0 else empty
