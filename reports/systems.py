"""The systems that are compared: systems.csv, read. tests/test_systems.py holds it against what models/ knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmark.results.store import ResultError

SYSTEMS = Path(__file__).with_name("systems.csv")
REFERENCE = "RSRefSeg"  # the system that the others are compared with
RSREFSEG = "rsrefseg"  # in params.yaml, whose variants are its own where they name no system
CONTROLS = {  # system -> the training-free baselines that are made of it
    RSREFSEG: ("whole_image", "clip_heat_map", "heat_map_point"),
    "clipseg": ("zero_shot",),
    "sam3": ("zero_shot", "zero_shot_semantic"),
}


class Speed(NamedTuple):
    """Of a model, measured in turns with the reference: seconds of a training step; images predicted a second."""

    step: float
    images: float


@dataclass(frozen=True)
class System:
    """A line of systems.csv: a model, which is a size of a system.

    main: the variant that is the system as it was published, or as near as this suite comes.
    size: those of one size are compared: `mini` or `published`.
    input_side: in px, of CLIP's and of SAM's encoder where there are two.
    encodes_per: `image` where an image is encoded once for all its expressions, `expression` where once for each.
    title: its name in print, and that of its method in a `Comparison`: with the model, where a size has several.
    """

    model: str
    system: str
    main: str
    size: str
    pretraining: str
    input_side: str
    encodes_per: str
    title: str


def load_systems(path: Path = SYSTEMS) -> tuple[System, ...]:
    """The lines of systems.csv, in its order.

    Raises:
        ResultError: other columns, or a model twice.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(table.columns) != (columns := [*System.__dataclass_fields__][:-1]):
        raise ResultError(f"{path} has the columns {list(table.columns)}, it needs {columns}")
    if (repeated := table["model"].duplicated()).any():
        raise ResultError(f"{path} has the model {table['model'][repeated].iloc[0]!r} more than once")
    several = table.duplicated(["system", "size"], keep=False)
    titles = table["system"].where(~several, table["system"] + " · " + table["model"])
    return tuple(System(*row) for row in table.assign(title=titles).itertuples(index=False))
