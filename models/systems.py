"""The systems by name: what configures each, what builds it, and what it is built on.

Nothing of torch is imported before one is built, so that a configuration is read in no time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from models.config import ComputeConfig, ModelConfig, Part
from models.lavt.config import LavtConfig
from models.rmsin.config import RmsinConfig
from models.rsrefseg2.config import RSRefSeg2Config
from models.weights.files import foundation_files, network_files, swin_bert_files
from models.zeroshot.config import ClipSegConfig, Sam3Config

if TYPE_CHECKING:
    from models.system import System


class Entry(NamedTuple):
    """What is to be known of a system.

    config: the class of its configuration.
    code: `module:Class`, a System.
    files: its foundation folder -> each file's place, by name.
    controls: the training-free baselines that its foundation allows (models/baselines.py).
    trains: false of the zero-shot networks, which are baselines alone and have no variants.
    """

    config: type[Part]
    code: str
    files: Callable[[Path], dict[str, Path]]
    controls: tuple[str, ...] = ()
    trains: bool = True

    @property
    def parts(self) -> tuple[str, ...]:
        """The foundation models, by name."""
        return tuple(name for name, file in self.files(Path()).items() if file.suffix == ".safetensors")


SYSTEMS = {
    "rsrefseg": Entry(
        ModelConfig,
        "models.rsrefseg:RSRefSeg",
        foundation_files,
        controls=("whole_image", "clip_heat_map", "heat_map_point"),
    ),
    "rsrefseg2": Entry(RSRefSeg2Config, "models.rsrefseg2.rsrefseg2:RSRefSeg2", foundation_files),
    "lavt": Entry(LavtConfig, "models.lavt.lavt:LAVT", swin_bert_files),
    "rmsin": Entry(RmsinConfig, "models.rmsin.rmsin:RMSIN", swin_bert_files),
    "clipseg": Entry(
        ClipSegConfig, "models.zeroshot.clipseg:ClipSeg", network_files("clipseg"), ("zero_shot",), trains=False
    ),
    "sam3": Entry(
        Sam3Config,
        "models.zeroshot.sam3:Sam3",
        network_files("sam3"),
        ("zero_shot", "zero_shot_semantic"),
        trains=False,
    ),
}


def entry_of(config: Part) -> Entry:
    """The system that a configuration is of."""
    return next(entry for entry in SYSTEMS.values() if type(config) is entry.config)


def compute_of(config: Part) -> ComputeConfig | None:
    """How a system's parts are run; None for a system of which there is nothing to choose."""
    found: ComputeConfig | None = config.compute if "compute" in type(config).model_fields else None  # type: ignore[attr-defined]
    return found


def precision_of(config: Part) -> str:
    """What a system's encoders compute in, as ComputeConfig has it; float32 where there is nothing to choose."""
    compute = compute_of(config)
    return "float32" if compute is None else compute.precision


def class_of(config: Part) -> type[System]:
    """The class that a configuration configures."""
    module, name = entry_of(config).code.split(":")
    found: type[System] = getattr(importlib.import_module(module), name)
    return found


def build(config: Part, folder: Path) -> System:
    """The system of a configuration, on the weights of a foundation folder.

    Raises:
        FileNotFoundError, CheckpointError: as `models.checkpoint.load_tensors` and `fill`.
    """
    return class_of(config).from_foundation(config, folder)
