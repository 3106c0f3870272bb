"""The datasets that can be built: one file per source, each making the table of samples from its own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.datasets import class_masks, coco, dubai, refsegrs, risbench, rrsisd, synthetic
from benchmark.datasets.spec import DatasetConfig, Spec


class Source(NamedTuple):
    """A dataset: its settings (datasets.<name> in params.yaml), what builds its folder from them, and what is declared
    of it (None: anyone's own). boxes: x1, y1, x2, y2 by sample_id, where boxes are published beside masks."""

    config: type[DatasetConfig]
    build: Callable[[Path, Any], object]
    spec: Spec | None = None
    boxes: Callable[[Any], Mapping[str, tuple[float, float, float, float]]] | None = None


DATASETS: dict[str, Source] = {
    "synthetic": Source(synthetic.SyntheticConfig, synthetic.build, synthetic.SPEC),
    "dubai": Source(dubai.DubaiConfig, class_masks.build, dubai.SPEC),
    "refsegrs": Source(refsegrs.RefSegRSConfig, refsegrs.build, refsegrs.SPEC),
    "rrsisd": Source(rrsisd.RRSISDConfig, rrsisd.build, rrsisd.SPEC, rrsisd.published_boxes),
    "risbench": Source(risbench.RISBenchConfig, risbench.build, risbench.SPEC),
}
KINDS: dict[str, Source] = {  # anyone's own, under any name
    "coco": Source(coco.CocoConfig, coco.build),
    "masks": Source(class_masks.MasksConfig, class_masks.build),
}
