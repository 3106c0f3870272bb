"""What the zero-shot baselines share: a network from a folder of transformers' layout, and RSRefSeg's `predict`.

B images, N expressions, T tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from models.config import Rgb
from models.pixels import prepare_images
from models.system import System, check_prompts
from models.tokens import Tokens
from models.weights.transformers_folder import read_model, read_tokenizer


class ZeroShot(System, ABC):
    """A frozen network of transformers behind the interface of a trained one.

    Args:
        network: frozen and in evaluation mode from here on.
        tokens: its texts, at its fixed length.
        side: of its square input, in pixels.
        mean, std: of pixels in [0, 1].
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, network: Any, tokens: Tokens, side: int, mean: Rgb, std: Rgb) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.tokens = tokens
        self.side = side
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    @abstractmethod
    def from_folder(cls, folder: Path) -> Self:
        """Of the published weights, sizes and tokenizer.json in a folder.

        Raises:
            FileNotFoundError, CheckpointError: as `models.weights.transformers_folder.read_clip_folder`.
        """

    @abstractmethod
    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """Mask logits (N, h, w); each image is encoded once. mask_NT: true where a token is the text's."""

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Mask logits (N, h, w) on the network's grid. Arguments and errors: models.rsrefseg.RSRefSeg.forward."""
        check_prompts(images, texts, image_index)
        ids_NT, mask_NT = (values.to(self.pixel_mean.device) for values in self.tokens(texts))
        pixels_B3SS = prepare_images(images, self.side, self.pixel_mean, self.pixel_std)
        return self.logits(pixels_B3SS, ids_NT, mask_NT, image_index)


def read_network(kind: Any, folder: Path) -> tuple[Any, Tokens]:
    """A network of CLIP's tokens, in float32, with its tokenizer.

    Raises:
        FileNotFoundError, CheckpointError: as `models.weights.transformers_folder.read_clip_folder`.
    """
    tokenizer = read_tokenizer("clip", folder)
    config = kind.config_class.from_pretrained(folder, local_files_only=True)
    network = read_model(kind, config, folder).float()
    return network, Tokens(tokenizer, "clip", network.config.text_config.max_position_embeddings)
