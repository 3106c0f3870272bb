"""The datasets that can be built: one file per source, each making the table of samples from its own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.datasets import (
    aeriald,
    class_masks,
    coco,
    dubai,
    geo,
    nwpurefer,
    refsegrs,
    risbench,
    rrsisd,
    rrsishr,
    synthetic,
    vhr10,
)
from benchmark.datasets.spec import DatasetConfig, Spec


class DatasetEntry(NamedTuple):
    """A dataset: its settings (datasets.<name> in params.yaml), what builds its folder from them, and what is declared
    of it (None: anyone's own). boxes: x1, y1, x2, y2 by sample_id, where boxes are published beside masks."""

    config: type[DatasetConfig]
    build: Callable[[Path, Any], object]
    spec: Spec | None = None
    boxes: Callable[[Any], Mapping[str, tuple[float, float, float, float]]] | None = None


DATASETS: dict[str, DatasetEntry] = {
    "synthetic": DatasetEntry(synthetic.SyntheticConfig, synthetic.build, synthetic.SPEC),
    "dubai": DatasetEntry(dubai.DubaiConfig, class_masks.build, dubai.SPEC),
    "refsegrs": DatasetEntry(refsegrs.RefSegRSConfig, refsegrs.build, refsegrs.SPEC),
    "vhr10": DatasetEntry(vhr10.VHR10Config, vhr10.build, vhr10.SPEC),
    "rrsisd": DatasetEntry(rrsisd.RRSISDConfig, rrsisd.build, rrsisd.SPEC, rrsisd.published_boxes),
    "risbench": DatasetEntry(risbench.RISBenchConfig, risbench.build, risbench.SPEC),
    "rrsishr": DatasetEntry(rrsishr.RRSISHRConfig, rrsishr.build, rrsishr.SPEC),
    "nwpurefer": DatasetEntry(nwpurefer.NWPUReferConfig, nwpurefer.build, nwpurefer.SPEC),
    "aeriald": DatasetEntry(aeriald.AerialDConfig, aeriald.build, aeriald.SPEC),
}
KINDS: dict[str, DatasetEntry] = {  # anyone's own, under any name
    "coco": DatasetEntry(coco.CocoConfig, coco.build),
    "geo": DatasetEntry(geo.GeoConfig, geo.build),
    "masks": DatasetEntry(class_masks.MasksConfig, class_masks.build),
}
