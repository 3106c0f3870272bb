"""RSRefSeg (Chen et al., IGARSS 2025, arXiv:2501.06809): CLIP -> AttnPrompter -> SAM, wired.

B images, N expressions; `image_index` says which image each expression is about, so that an image is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.clip import Clip
from models.config import Encoder, ModelConfig
from models.errors import ExpressionError
from models.lora import add_adapters, freeze, merge_adapters
from models.prompter import AttnPrompter, Prompts
from models.sam import Sam
from models.weights.foundation import load_clip, load_sam


class RSRefSeg(nn.Module):
    """The whole model.

    Args:
        config: which parts it has.
        clip, sam: the foundation models, pretrained; they are adapted and frozen in place.
    """

    def __init__(self, config: ModelConfig, *, clip: Clip, sam: Sam) -> None:
        super().__init__()
        self.config = config
        self.clip = clip
        self.sam = sam
        self.prompter = AttnPrompter(config.prompter, clip_width=config.clip.width, sam_width=config.sam.width)
        if config.prompter.start == "silent":
            self.prompter.silence(sam.no_point())
        if config.lora is not None:
            add_adapters(self, config, config.lora)
        freeze(self, config.prompter)
        encoders = self.encoders()
        for name in config.compute.gradient_checkpointing:
            encoders[name].activation_checkpointing_enable({"use_reentrant": False})
        if config.compute.compile:
            for encoder in encoders.values():
                encoder.compile()

    @classmethod
    def from_foundation(cls, config: ModelConfig, folder: Path) -> RSRefSeg:
        """Built on the weights of a foundation folder (weights/<model>/)."""
        attention = config.compute.attention
        clip, sam = load_clip(config.clip, folder, attention), load_sam(config.sam, folder, attention)
        return cls(config, clip=clip, sam=sam)

    def encoders(self) -> dict[Encoder, Any]:
        """The three networks that do most of the work."""
        clip = self.clip.model
        return {"clip_vision": clip.vision_model, "clip_text": clip.text_model, "sam": self.sam.model.vision_encoder}

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Mask logits.

        Args:
            images: B uint8 tensors (3, h, w), each of any size.
            texts: N expressions.
            image_index: N integers in [0, B).

        Returns:
            (N, S, S) on SAM's mask grid; a cell is the expression's where its logit is above 0.

        Raises:
            ValueError: no text, or an index that is out of range.
            ExpressionError: a text that is blank or holds nothing CLIP reads.
        """
        prompts = self.prompt(images, texts, image_index)
        with self._encoding("sam"):
            image_BChw = self.sam.encode(images)
        if prompts.heat_NHW is None:
            dense = self.sam.no_mask()
        else:
            side = self.config.sam.mask_side
            heat = interpolate(prompts.heat_NHW.unsqueeze(1), size=(side, side), mode="bilinear", align_corners=False)
            dense = self.sam.embed_masks(heat.squeeze(1))
        logits, _ = self.sam.decode(image_BChw[list(image_index)], prompts.sparse_NMC, dense)
        return logits

    def prompt(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Prompts:
        """What SAM is prompted with: CLIP's features of each image, filtered by the text. As `forward`."""
        check_prompts(images, texts, image_index)
        with self._encoding("clip_vision"):
            visual_BCHW = self.clip.encode_images(images)
        with self._encoding("clip_text"):
            text = self.clip.encode_texts(texts)
        side = self.config.prompter_grid
        index_N = torch.tensor(image_index, device=self.sam.pixel_mean.device)
        features = self.clip.features(visual_BCHW, text)
        prompts: Prompts = self.prompter(features, index_N, self.sam.positional_encoding(side, side))
        return prompts

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

    @torch.no_grad()
    def activations(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[dict[str, NDArray[np.float32]]]:
        """What each expression lights up, for looking at: N dicts of name -> (H, W) float32 in [0, 1], CLIP's cells.

        local, global: the activations that filter the visual features; dense: the sigmoid of the dense prompt. What the
        variant does not have is not there. Arguments and errors as `predict_logits`.
        """
        self._check_evaluating()
        prompts = self.prompt(images, texts, image_index)
        dense_NHW = None if prompts.heat_NHW is None else prompts.heat_NHW.sigmoid()
        maps = {"local": prompts.local_NHW, "global": prompts.global_NHW, "dense": dense_NHW}
        found = {name: values.float().cpu().numpy() for name, values in maps.items() if values is not None}
        return [{name: values[place] for name, values in found.items()} for place in range(len(texts))]

    def _check_evaluating(self) -> None:
        if self.training:
            raise RuntimeError("call eval() before predict(): dropout and batch statistics are on")

    @contextmanager
    def _encoding(self, name: Encoder) -> Iterator[None]:
        """How an encoder is run: in the configured precision, and keeping no activations where nothing in it trains."""
        half = self.config.compute.precision == "bfloat16"
        trained = any(parameter.requires_grad for parameter in self.encoders()[name].parameters())
        with (
            torch.autocast(self.sam.pixel_mean.device.type, torch.bfloat16, enabled=half),
            torch.set_grad_enabled(torch.is_grad_enabled() and trained),
        ):
            yield

    def merge_adapters(self) -> None:
        """Fold every adapter into the weights under it, in place. For inference: nothing trains afterwards."""
        if self.config.lora is not None:
            merge_adapters(self)
        self.requires_grad_(False)

    def trained_state(self) -> dict[str, Tensor]:
        """What training changed: trained parameters, and the running statistics of the prompter's norms."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        trained |= {f"prompter.{name}" for name, _ in self.prompter.named_buffers()}
        return {name: value for name, value in self.state_dict().items() if name in trained}


def native_logits(logits_NSS: Tensor, images: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Logits (N, S, S), each resized (bilinear) to its image (3, h, w) -> N float32 arrays (h, w)."""
    return [
        interpolate(logits[None, None].float(), size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        .cpu()
        .numpy()
        for logits, image in zip(logits_NSS, images, strict=True)
    ]


def check_prompts(images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> None:
    """Raise ValueError for no text or an image index that is out of range, ExpressionError for a blank text."""
    if not texts or len(texts) != len(image_index):
        raise ValueError(f"{len(texts)} expressions and {len(image_index)} image indices: give one of each at least")
    for position, (text, index) in enumerate(zip(texts, image_index, strict=True)):
        if not text.strip():
            raise ExpressionError(f"expression {position} is blank: say what to segment")
        if not 0 <= index < len(images):
            raise ValueError(f"expression {position} is about image {index}, but there are {len(images)} images")
