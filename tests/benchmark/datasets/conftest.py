"""Fakes of the published datasets in their real layouts, built once for all that read them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.data.samples import Dataset, SampleError, load_dataset
from benchmark.datasets import DATASETS
from tests.layouts import LAYOUTS
from tests.pictures import SIDE

NAMES = ("refsegrs", "risbench", "rrsisd")
NEWER = ("rrsishr", "nwpurefer", "aeriald")
SCENES = 3
Faults = Mapping[str, tuple[str, Callable[[Path], object], str]]  # case -> dataset, what spoils it, the message


def lay(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The fake of each dataset, in a folder of its name."""
    for name in names:
        LAYOUTS[name](folder / name, SCENES, SIDE)
    return {name: folder / name for name in names}


@pytest.fixture(scope="session")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return lay(tmp_path_factory.mktemp("fakes"), NAMES)


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return lay(tmp_path_factory.mktemp("newer"), NEWER)


def build(name: str, root: Path, folder: Path, **changes: Any) -> Dataset:
    source = DATASETS[name]
    config = source.config.model_validate({"root": str(root), "allow_count_mismatch": True, **changes})
    source.build(folder / name, config)
    return load_dataset(folder / name, root)


@pytest.fixture(scope="session")
def built(fakes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("built")
    return {name: build(name, root, folder) for name, root in fakes.items()}


def check_faults(faults: Faults, fakes: dict[str, Path], folder: Path, subtests: pytest.Subtests) -> None:
    """Each fault is refused by its message, and nothing is written."""
    for number, (case, (name, spoil, message)) in enumerate(faults.items()):
        with subtests.test(case):
            root = shutil.copytree(fakes[name], folder / f"{number}" / name)
            spoil(root)
            data = folder / f"{number}" / "data"
            data.mkdir()
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                build(name, root, data)
            assert not list(data.iterdir())


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def block(x1: int, y1: int, x2: int, y2: int, height: int = 20, width: int = 30) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    return mask
