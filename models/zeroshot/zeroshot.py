"""What the zero-shot baselines share: a network from a folder of transformers' layout, and RSRefSeg's `predict`.

B images, N expressions, T tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.pixels import prepare_images
from models.system import System, check_prompts
from models.tokens import Tokens
from models.weights.folder_settings import check_pixels, read_json
from models.weights.transformers_folder import read_model, read_tokenizer
from models.zeroshot.config import ZeroShotConfig


class ZeroShot(System, ABC):
    """A frozen network of transformers behind the interface of a trained one.

    Args:
        config: whose pixels it reads.
        network: of transformers; frozen and in evaluation mode from here on.
        tokenizer: CLIP's; texts are as long as the network reads them.
    """

    kind: ClassVar[Any]  # of transformers' networks
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ZeroShotConfig, network: Any, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.network = network.float().requires_grad_(False)
        self.tokens = Tokens(tokenizer, "clip", network.config.text_config.max_position_embeddings)
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def from_foundation(cls, config: Any, folder: Path) -> Self:
        """Of the weights, config.json and tokenizer.json in a folder. Raises as `read`."""
        return cls(config, *cls.read(config, folder))

    @classmethod
    def read(cls, config: ZeroShotConfig, folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
        """The network in its files' precision, and its tokenizer.

        Raises:
            FileNotFoundError, CheckpointError: as `models.weights.transformers_folder.read_clip_folder`.
        """
        tokenizer = read_tokenizer("clip", folder)
        read_json(folder / "config.json")  # transformers would raise an OSError
        check_pixels(config.pixel_mean, config.pixel_std, folder)
        settings = cls.kind.config_class.from_pretrained(folder, local_files_only=True)
        return read_model(cls.kind, settings, folder), tokenizer

    @property
    @abstractmethod
    def side(self) -> int:
        """Of the square input, in pixels."""

    @abstractmethod
    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """Mask logits (N, h, w); each image is encoded once. mask_NT: true where a token is the text's."""

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Mask logits (N, h, w) on the network's grid. Arguments and errors: models.rsrefseg.RSRefSeg.forward."""
        check_prompts(images, texts, image_index)
        ids_NT, mask_NT = (values.to(self.pixel_mean.device) for values in self.tokens(texts))
        pixels_B3SS = prepare_images(images, self.side, self.pixel_mean, self.pixel_std)
        return self.logits(pixels_B3SS, ids_NT, mask_NT, image_index)
