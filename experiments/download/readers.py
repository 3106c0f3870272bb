"""What each part of a foundation is read from, and by what: READERS[part]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.clip import Clip
from models.errors import CheckpointError
from models.lavt.backbone import make_swin
from models.lavt.config import LanguageAwareConfig
from models.lavt.text import Text
from models.rsrefseg2.config import Sam2Config
from models.rsrefseg2.sam2 import Sam2
from models.sam import Sam
from models.weights.sam2 import read_sam2_folder
from models.weights.sam_official import read_official_sam
from models.weights.swin_bert_folder import read_bert_folder, read_swin_folder
from models.weights.transformers_folder import read_clip_folder, read_sam_folder
from models.zeroshot.clipseg import ClipSeg
from models.zeroshot.sam3 import Sam3
from models.zeroshot.zeroshot import ZeroShot


class Read(NamedTuple):
    """tensors: the weights, by our names. parameters: how many. tokenizer: what came with them."""

    tensors: dict[str, Tensor]
    parameters: int
    tokenizer: Any = None


class Reader(NamedTuple):
    """read: the system's configuration, and a folder of transformers' layout (or SAM's own file) -> the weights.
    settings: what the folder holds beside them. beside: what is written beside them, as it is called in the system's
    files: `tokenizer`; `config`, its config.json.
    """

    read: Callable[[Any, Path], Read]
    settings: tuple[str, ...]
    beside: tuple[str, ...] = ()


def _clip(config: Any, place: Path) -> Read:
    tensors, tokenizer = read_clip_folder(config.clip, place)
    return Read(tensors, _count(lambda: Clip(config.clip, tokenizer)), tokenizer)


def _sam(config: Any, place: Path) -> Read:
    if isinstance(config.sam, Sam2Config):
        if place.is_file():
            raise CheckpointError(f"{place}: an official file is SAM's, and sam is SAM 2 here; give hub or folder")
        return Read(read_sam2_folder(config.sam, place), _count(lambda: Sam2(config.sam)))
    read = read_official_sam if place.is_file() else read_sam_folder
    return Read(read(config.sam, place), _count(lambda: Sam(config.sam)))


def _swin(config: LanguageAwareConfig, place: Path) -> Read:
    return Read(read_swin_folder(config.image, place), _count(lambda: make_swin(config.image)))


def _bert(config: LanguageAwareConfig, place: Path) -> Read:
    tensors, tokenizer = read_bert_folder(config.text, place)
    return Read(tensors, _count(lambda: Text(config.text, tokenizer).bert), tokenizer)


def _zero_shot(kind: type[ZeroShot]) -> Callable[[Any, Path], Read]:
    def read(config: Any, place: Path) -> Read:
        network, tokenizer = kind.read(config, place)
        return Read(network.state_dict(), sum(parameter.numel() for parameter in network.parameters()), tokenizer)

    return read


def _count(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


_PICTURES = ("config.json", "preprocessor_config.json")
_WORDS = ("tokenizer_config.json", "tokenizer.json")

READERS = {
    "clip": Reader(_clip, (*_PICTURES, *_WORDS), ("tokenizer",)),
    "sam": Reader(_sam, _PICTURES),
    "swin": Reader(_swin, _PICTURES),
    "bert": Reader(_bert, ("config.json", *_WORDS), ("tokenizer",)),
    "clipseg": Reader(_zero_shot(ClipSeg), (*_PICTURES, *_WORDS), ("config", "tokenizer")),
    "sam3": Reader(_zero_shot(Sam3), ("config.json", *_WORDS), ("config", "tokenizer")),
}
