"""Per-sample tables on the same samples, and the sums over the samples of each image: what statistics are made from.

Dimension letters: G images, T tables, M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.metrics.iou import FloatArray, check_lines, terms

Lines = pd.DataFrame | Sequence[pd.DataFrame]


def tables_of(lines: Lines) -> list[pd.DataFrame]:
    """One table or several on the same samples, checked, all in the first one's row order.

    Raises:
        ValueError: none, or one that is malformed or not on the same samples.
    """
    tables = [lines] if isinstance(lines, pd.DataFrame) else list(lines)
    if not tables:
        raise ValueError("no per-sample table given: there is nothing to resample")
    for table in tables:
        check_lines(table)
    return same_samples(tables)


def same_samples(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables in the first one's row order; they have passed `check_lines`.

    Raises:
        ValueError: tables that are not on the same samples.
    """
    first = tables[0]
    aligned = [first]
    for table in tables[1:]:
        if not np.array_equal(first["sample_id"], table["sample_id"]):
            if different := sorted(set(first["sample_id"]) ^ set(table["sample_id"])):
                raise ValueError(
                    f"the tables are not on the same samples: {len(different)} sample_id(s) are in one only, for "
                    f"example {different[0]!r}; evaluate both runs on the same data"
                )
            table = table.set_index("sample_id", drop=False).loc[first["sample_id"]].reset_index(drop=True)
        for column in ("image_id", "mask_area"):
            unequal = first[column].to_numpy() != table[column].to_numpy()
            if unequal.any():
                row = int(np.argmax(unequal))
                sample, values = first["sample_id"].iloc[row], (first[column].iloc[row], table[column].iloc[row])
                raise ValueError(
                    f"sample {sample!r} has {column} {values[0]} in one table and {values[1]} in another; "
                    "evaluate both runs on the same data"
                )
        aligned.append(table)
    return aligned


def image_sums(tables: list[pd.DataFrame], metrics: Sequence[str]) -> FloatArray:
    """Sums over the samples of each image, by order of image_id: G x 2TM, numerator beside denominator."""
    image, names = pd.factorize(tables[0]["image_id"], sort=True)
    columns = [column for table in tables for metric in metrics for column in terms(table, metric)]
    return np.stack([np.bincount(image, weights=column, minlength=len(names)) for column in columns], axis=1)
