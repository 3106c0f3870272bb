"""The systems by name: what configures each, what builds it, and what it is built on.

Nothing of torch is imported before one is built, so that a configuration is read in no time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from models.config import ModelConfig, Part
from models.lavt.config import LavtConfig
from models.rmsin.config import RmsinConfig
from models.rsrefseg2.config import RSRefSeg2Config
from models.weights.files import foundation_files, swin_bert_files

if TYPE_CHECKING:
    from models.system import System


class Entry(NamedTuple):
    """config: the class of its configuration. code: `module:Class`, with `from_foundation(config, folder)`. files: its
    foundation folder -> each file's place by name; what is no tokenizer is a part that is pretrained or downloaded."""

    config: type[Part]
    code: str
    files: Callable[[Path], dict[str, Path]]

    @property
    def parts(self) -> tuple[str, ...]:
        """The foundation models, by name."""
        return tuple(name for name in self.files(Path()) if name != "tokenizer")


SYSTEMS = {
    "rsrefseg": Entry(ModelConfig, "models.rsrefseg:RSRefSeg", foundation_files),
    "rsrefseg2": Entry(RSRefSeg2Config, "models.rsrefseg2.rsrefseg2:RSRefSeg2", foundation_files),
    "lavt": Entry(LavtConfig, "models.lavt.lavt:LAVT", swin_bert_files),
    "rmsin": Entry(RmsinConfig, "models.rmsin.rmsin:RMSIN", swin_bert_files),
}


def build(system: str, config: Part, folder: Path) -> System:
    """A system on the weights of a foundation folder.

    Raises:
        FileNotFoundError, CheckpointError: as `models.checkpoint.load_tensors` and `fill`.
    """
    module, name = SYSTEMS[system].code.split(":")
    built: System = getattr(importlib.import_module(module), name).from_foundation(config, folder)
    return built
