"""What may be split among the ranks, and what is refused before anything is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import DistributedType

from experiments.settings import ConfigError
from experiments.training.step import TrainStep
from models.system import System
from tests.experiments.training.test_step import SETTINGS
from tests.language_aware import lavt_config, ready
from tests.tiny import tiny_model, write_foundation


def zero_step(model: System, plugin: SimpleNamespace) -> TrainStep:
    """Of an accelerator that DeepSpeed, which is not there, would stand behind."""
    accelerator: Any = SimpleNamespace(
        distributed_type=DistributedType.DEEPSPEED,
        state=SimpleNamespace(deepspeed_plugin=plugin),
        prepare=lambda *prepared: prepared,
    )
    return TrainStep(model, SETTINGS.model_copy(update={"clip_norm": 2.0}), 1, accelerator)


def test_zero_is_refused_to_a_system_of_several_groups_of_parameters(tmp_path: Path) -> None:
    """A state holds the optimiser's first group alone: going on from it, the others would start anew."""
    plugin = SimpleNamespace(deepspeed_config={})
    with pytest.raises(ConfigError, match=r"one group of parameters.*take fsdp2\.yaml"):
        zero_step(ready(lavt_config(), tmp_path).float(), plugin)
    assert plugin.deepspeed_config == {}
    zero_step(tiny_model(write_foundation(tmp_path)), plugin)
    assert plugin.deepspeed_config["gradient_clipping"] == 2.0
