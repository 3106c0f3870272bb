from __future__ import annotations

from pathlib import Path

import pytest

from models.config import ModelConfig
from tests.tiny import FAMILIES, tiny_config, write_foundation


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return tiny_config()


@pytest.fixture(scope="session")
def foundations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A foundation folder of random weights of each family; read only."""
    root = tmp_path_factory.mktemp("foundations")
    return {family: write_foundation(root / family, family=family) for family in FAMILIES}


@pytest.fixture(scope="session")
def weights(foundations: dict[str, Path]) -> Path:
    """The one of SigLIP."""
    return foundations["siglip"]
