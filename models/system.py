"""What every segmentation system here does: expressions about images in, masks of the images' own sizes out.

B images, N expressions; `image_index` says which image each expression is about. A system's forward gives logits
(N, S, S) on a grid of its own, above 0 where a cell is the expression's; the rest is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.errors import ExpressionError

EXPANDED = 2**26  # floats (256 MiB) that images' maps may take at once in a prediction, repeated for each expression


class System(nn.Module):
    """Base of the systems. One has `forward(images, texts, image_index)` -> logits (N, S, S), with the arguments and
    errors of `predict_logits`.

    Attributes:
        side_losses: whether its forward, given true masks as well (N bool tensors (h, w), each at its image's own
            size), gives (logits, loss): what it learns besides the mask, weighted, a mean over the expressions.
        frozen: the encoders that nothing trains, by name.
        components: what its costs are counted by: a title -> where its modules and parameters lie, all of them once.
    """

    side_losses = False
    frozen: Set[str] = frozenset()
    components: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def from_foundation(cls, config: Any, folder: Path) -> Self:
        """Built on the weights of a foundation folder (weights/<model>/).

        Raises:
            FileNotFoundError, CheckpointError: as `models.checkpoint.load_tensors` and `fill`.
        """
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """The same without pretrained weights and, where it has one, its tokenizer: for what it costs."""
        raise NotImplementedError

    @property
    def input_side(self) -> int:
        """Side of the square, in pixels, that the largest input of an image is resized to."""
        raise NotImplementedError

    @torch.no_grad()
    def predict_logits(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Mask logits: N float32 arrays (h, w), each at its image's own size. Arguments and errors as `forward`.

        Raises:
            RuntimeError: the model is in training mode, where a prediction would depend on its batch.
        """
        self._check_evaluating()
        logits = self(images, texts, image_index)
        return native_logits(logits, [images[index] for index in image_index])

    def predict(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[NDArray[np.bool_]]:
        """Masks: N bool arrays (h, w), where `predict_logits`, with its errors, is above 0."""
        return [logits > 0 for logits in self.predict_logits(images, texts, image_index)]

    def merge_adapters(self) -> None:
        """For inference: nothing trains afterwards. A system with adapters folds them into the weights under them."""
        self.requires_grad_(False)

    def trained_state(self) -> dict[str, Tensor]:
        """What training changed: trained parameters, and the running statistics of norms."""
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        return {name: value for name, value in self.state_dict().items() if name not in frozen}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What trains, as groups for AdamW, the first of which has all of the optimiser's settings."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def layers(self) -> Iterator[nn.Module]:
        """The modules, called as such, that hold most of its weights: FSDP splits each by itself."""
        yield from ()

    def activations(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[dict[str, NDArray[np.float32]]]:
        """What each expression lights up, for looking at: N dicts of name -> (H, W) float32 in [0, 1]; empty where a
        system has nothing of the kind. Arguments and errors as `predict_logits`."""
        self._check_evaluating()
        return [{} for _ in texts]

    def _check_evaluating(self) -> None:
        if self.training:
            raise RuntimeError("call eval() before predict(): dropout and batch statistics are on")


def native_logits(logits_NSS: Tensor, images: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Logits (N, S, S), each resized (bilinear) to its image (3, h, w) -> N float32 arrays (h, w)."""
    return [
        interpolate(logits[None, None].float(), size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        .cpu()
        .numpy()
        for logits, image in zip(logits_NSS, images, strict=True)
    ]


def expressions_at_once(*maps: tuple[int, int]) -> int:
    """How many expressions an image's maps, (channels, side) each, may be repeated for within EXPANDED; 1 at least.

    Prompter and decoder make some five times as much of them: at the paper's sizes 1.4 GB for 35 expressions.
    """
    return max(1, EXPANDED // sum(channels * side**2 for channels, side in maps))


def slices(count: int, size: int) -> list[slice]:
    """`count` places in parts of `size`, the last of which may be smaller."""
    return [slice(first, first + size) for first in range(0, count, size)]


def check_prompts(images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> None:
    """Raise ValueError for no text or an image index that is out of range, ExpressionError for a blank text."""
    if not texts or len(texts) != len(image_index):
        raise ValueError(f"{len(texts)} expressions and {len(image_index)} image indices: give one of each at least")
    for position, (text, index) in enumerate(zip(texts, image_index, strict=True)):
        if not text.strip():
            raise ExpressionError(f"expression {position} is blank: say what to segment")
        if not 0 <= index < len(images):
            raise ValueError(f"expression {position} is about image {index}, but there are {len(images)} images")
