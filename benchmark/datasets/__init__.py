"""The datasets that can be built: one file per source, each making the table of samples and its images in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from benchmark.datasets import dubai, synthetic


class Source(NamedTuple):
    """A dataset: the class of its settings (datasets.<name> in params.yaml), and what builds its folder from them."""

    config: type[BaseModel]
    build: Callable[[Path, Any], None]


DATASETS: dict[str, Source] = {
    dubai.NAME: Source(dubai.DubaiConfig, dubai.build),
    synthetic.NAME: Source(synthetic.SyntheticConfig, synthetic.build),
}
