"""What several tests of the commands look at, made once."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import inspect
from experiments.tracking import TrackingStore

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _as_torch_was() -> Iterator[None]:
    """Commands set how torch computes (experiments/repeatable.py); the next test starts as this one did."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def paper_costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What experiments.inspect writes about the paper's model without adapters, and under "printed" what it says at 80
    columns, in a folder with params.yaml and nothing else; read only."""
    folder, file = tmp_path_factory.mktemp("costs"), Path("new/costs.json")
    shutil.copy(ROOT / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "80")
        inspect.main("rsrefseg-b", variant="no_lora", json_file=file)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        assert {str(path) for path in Path().rglob("*")} == {"params.yaml", "new", str(file)}
    return {**found, "printed": printed.getvalue()}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database of MLflow, made once: the tables take seconds."""
    folder = tmp_path_factory.mktemp("database")
    TrackingStore(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"
