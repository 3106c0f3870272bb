from __future__ import annotations

from pathlib import Path

import pytest

from models.config import ModelConfig
from tests.tiny import tiny_config, write_foundation


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return tiny_config()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foundation folder of random weights; read only."""
    return write_foundation(tmp_path_factory.mktemp("weights"))
