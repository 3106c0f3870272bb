"""Cases: test samples chosen by a rule from what the runs did on them, with all that is needed to look at them.

They are chosen after the runs, from their per-sample tables alone, so that nobody picks a paper's pictures by hand:

    gain      where the reference model's IoU lies highest above the mean of the other variants'
    loss      where it lies lowest below it
    median    where its IoU is nearest to its median
    random    drawn from a seed

results/<dataset>/cases/<model>.parquet has one row per case and variant: what was predicted, and what lit up in the
prompter. A report then needs neither dataset nor model.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.files import read_table
from benchmark.metrics.iou import iou

RULES = ("gain", "loss", "median", "random")
MAPS = ("local", "global", "dense")  # activations in [0, 1]; NULL for what a variant does not have
COLUMNS = (
    "rule", "sample_id", "expression", "height", "width", "image", "mask",
    "variant", "fingerprint", "prediction", *MAPS,
)  # fmt: skip


def choose_cases(
    reference: pd.DataFrame, others: Sequence[pd.DataFrame], per_rule: int = 2, seed: int = 0
) -> list[tuple[str, str]]:
    """(rule, sample_id), by order of RULES; no sample twice, and no image while there is another.

    Args:
        reference: per-sample table of the model that is looked at.
        others: tables of the other variants on the same samples; without any there is no gain and no loss.
        per_rule: cases of each rule; fewer where the rule finds fewer.
        seed: of the random ones.

    Raises:
        ValueError: the tables are not on the same samples, or no sample has a target.
    """
    for table in others:
        if table["sample_id"].tolist() != reference["sample_id"].tolist():
            raise ValueError("the tables are not on the same samples in the same order; evaluate the runs again")
    target = (reference["mask_area"] > 0).to_numpy()
    if not target.any():
        raise ValueError("no sample has a target: there is nothing to look at")
    names, images = (reference.loc[target, column].tolist() for column in ("sample_id", "image_id"))
    found = iou(reference)[target]
    orders = {"median": np.argsort(np.abs(found - np.median(found)), kind="stable")}
    orders["random"] = np.random.default_rng(seed).permutation(len(found))
    if others:
        gain = found - np.mean([iou(table)[target] for table in others], axis=0)
        up, down = np.argsort(-gain, kind="stable"), np.argsort(gain, kind="stable")
        orders |= {"gain": up[gain[up] > 0], "loss": down[gain[down] < 0]}
    chosen: list[int] = []
    cases = []
    for rule in RULES:
        order = [int(place) for place in orders.get(rule, []) if place not in chosen]
        seen = {images[place] for place in chosen}
        first: list[int] = []  # of images not shown yet
        last: list[int] = []
        for place in order:
            (last if images[place] in seen else first).append(place)
            seen.add(images[place])
        taken = [*first, *last][:per_rule]
        chosen += taken
        cases += [(rule, names[place]) for place in taken]
    return cases


def encode_map(values: NDArray[np.float32]) -> bytes:
    """An (H, W) map in [0, 1] as a grey PNG of 256 levels."""
    stream = io.BytesIO()
    Image.fromarray(np.round(255 * values).clip(0, 255).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def decode_map(content: bytes) -> NDArray[np.float32]:
    """What `encode_map` made, in [0, 1]."""
    return np.asarray(Image.open(io.BytesIO(content), formats=("PNG",)), dtype=np.float32) / np.float32(255)


def load_cases(path: Path) -> pd.DataFrame:
    """COLUMNS, one row per case and variant.

    Raises FileNotFoundError if the file is not there, SampleError for another table.
    """
    return read_table(path, COLUMNS, f"make it: dvc repro -f -s cases@{path.parent.parent.name}-{path.stem}")
