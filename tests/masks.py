"""Tables of pairs of masks, as a dataset and a run keep them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.rle import encode_mask
from benchmark.metrics.measure import Details, measure

Mask = NDArray[np.bool_]
Pairs = Sequence[tuple[Mask, Mask]]  # truth, prediction


def mask_tables(pairs: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples "0", "1", ... and their predictions, which lie in another order."""
    samples = pd.DataFrame(
        {
            "sample_id": str(place), "image_id": str(place), "category": None,
            "height": truth.shape[0], "width": truth.shape[1], "mask": encode_mask(truth),
        }
        for place, (truth, _) in enumerate(pairs)
    )  # fmt: skip
    predictions = samples[["sample_id"]].assign(prediction=[encode_mask(prediction) for _, prediction in pairs])
    return samples, predictions.iloc[::-1].reset_index(drop=True)


def measured(pairs: Pairs, *sides: int) -> pd.DataFrame:
    """The per-sample table of these pairs."""
    return measure(*mask_tables(pairs), Details(sides))
