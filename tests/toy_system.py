"""A system that is like none of models/: a bag of words and an image's colours, mixed by two small convolutions.

All that a new system must have is here (CONTRIBUTING.md, "Add a system"); it is built on no foundation model.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, StrictBool
from torch import Tensor, nn

from models.config import Part
from models.pixels import prepare_images
from models.system import System, check_prompts
from models.systems import Entry


class ToyConfig(Part):
    """side: of the input, in pixels. words: how many are told apart. colour: off, it sees how bright a cell is."""

    side: Annotated[int, Field(ge=4)] = 32
    words: Annotated[int, Field(ge=1)] = 64
    width: Annotated[int, Field(ge=1)] = 8
    colour: StrictBool = True


class Toy(System):
    """B images, N expressions, S = config.side."""

    components: ClassVar = {"bag of words": ("words",), "convolutions": ("mixing",)}

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.EmbeddingBag(config.words, config.width)
        seen, width = (3 if config.colour else 1) + config.width, config.width
        self.mixing = nn.Sequential(nn.Conv2d(seen, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, 1, 1))

    @classmethod
    def from_foundation(cls, config: ToyConfig, folder: Path) -> Toy:
        return cls(config)

    @classmethod
    def from_config(cls, config: ToyConfig) -> Toy:
        return cls(config)

    @property
    def input_side(self) -> int:
        return self.config.side

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Logits (N, S, S); arguments and errors as System.predict_logits."""
        check_prompts(images, texts, image_index)
        half = torch.full((3, 1, 1), 0.5, device=self.words.weight.device)
        pixels_BKSS = prepare_images(images, self.config.side, half, half)
        if not self.config.colour:
            pixels_BKSS = pixels_BKSS.mean(1, keepdim=True)
        bags = [[zlib.crc32(word.encode()) % self.config.words for word in text.lower().split()] for text in texts]
        starts = torch.tensor([0, *map(len, bags[:-1])], device=half.device).cumsum(0)
        text_ND = self.words(torch.tensor(list(chain(*bags)), device=half.device), starts)
        text_NDSS = text_ND[:, :, None, None].expand(-1, -1, self.config.side, self.config.side)
        logits_NSS: Tensor = self.mixing(torch.cat([pixels_BKSS[list(image_index)], text_NDSS], dim=1))[:, 0]
        return logits_NSS


ENTRY = Entry(ToyConfig, "tests.toy_system:Toy", files=lambda folder: {})
SIZES: dict[str, dict[str, Any]] = {"toy-mini": {"side": 24}}
