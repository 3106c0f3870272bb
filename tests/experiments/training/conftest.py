"""The data and the foundation weights that tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets.synthetic import SyntheticConfig, build
from tests.tiny import write_foundation


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    build(folder, SyntheticConfig(train=8, val=3, test=2, side=96))
    return load_dataset(folder)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foundation(tmp_path_factory.mktemp("weights"))
