"""RSRefSeg (Chen et al., IGARSS 2025, arXiv:2501.06809): CLIP -> AttnPrompter -> SAM, wired.

B images, N expressions; `image_index` says which image each expression is about, so that an image is encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from models.clip import Clip
from models.config import ModelConfig
from models.lora import adapter_targets, add_adapters, freeze, trains
from models.prompted_sam import PromptedSam
from models.prompter import AttnPrompter, Prompts
from models.sam import Sam
from models.system import check_prompts, native_logits
from models.weights.foundation import load_clip, load_sam

__all__ = ["RSRefSeg", "check_prompts", "native_logits"]


class RSRefSeg(PromptedSam):
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
            add_adapters(self, adapter_targets(config, config.lora), config.lora)
        freeze(self, lambda name: trains(name, config.prompter))
        self._set_up_encoders()

    @classmethod
    def from_foundation(cls, config: ModelConfig, folder: Path) -> RSRefSeg:
        """Built on the weights of a foundation folder (weights/<model>/)."""
        attention = config.compute.attention
        clip, sam = load_clip(config.clip, folder, attention), load_sam(config.sam, folder, attention)
        return cls(config, clip=clip, sam=sam)

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
        logits, _ = self.sam.decode(image_BChw[self._index(image_index)], prompts.sparse_NMC, dense)
        return logits

    def prompt(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Prompts:
        """What SAM is prompted with: CLIP's features of each image, filtered by the text. As `forward`."""
        check_prompts(images, texts, image_index)
        with self._encoding("clip_vision"):
            visual_BCHW = self.clip.encode_images(images)
        with self._encoding("clip_text"):
            text = self.clip.encode_texts(texts)
        side = self.config.prompter_grid
        features = self.clip.features(visual_BCHW, text)
        position = self.sam.positional_encoding(side, side)
        prompts: Prompts = self.prompter(features, self._index(image_index), position)
        return prompts

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
