"""RSRefSeg (Chen et al., IGARSS 2025, arXiv:2501.06809): CLIP -> AttnPrompter -> SAM, wired.

B images, N expressions; `image_index` says which image each expression is about, so that an image is encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from models.clip import Clip, ClipFeatures
from models.config import ModelConfig
from models.lora import adapter_targets, add_adapters, freeze, trains
from models.prompted_sam import CLIP_COMPONENTS, PromptedSam
from models.prompter import AttnPrompter, Prompts
from models.sam import Sam
from models.system import check_prompts, expressions_at_once, native_logits, slices
from models.weights.foundation import load_clip, load_sam

__all__ = ["RSRefSeg", "check_prompts", "native_logits"]


class RSRefSeg(PromptedSam):
    """The whole model.

    Args:
        config: which parts it has.
        clip, sam: the foundation models, pretrained; they are adapted and frozen in place.

    Attributes:
        at_once: expressions that a prediction prompts and decodes at once, whatever their number: a bound on memory.
    """

    components: ClassVar = {
        **CLIP_COMPONENTS,
        "AttnPrompter": ("prompter",),
        "SAM image encoder": ("sam.model.vision_encoder",),
        "SAM prompt encoder": ("sam.model.prompt_encoder", "sam.model.shared_image_embedding"),
        "SAM mask decoder": ("sam.model.mask_decoder",),
    }

    def __init__(self, config: ModelConfig, *, clip: Clip, sam: Sam) -> None:
        super().__init__()
        self.config = config
        self.clip = clip
        self.sam = sam
        self.at_once = expressions_at_once(
            (config.clip.width, config.prompter_grid), (config.sam.width, config.sam.grid)
        )
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

    @classmethod
    def from_config(cls, config: ModelConfig) -> RSRefSeg:
        """Without pretrained weights and tokenizer."""
        attention = config.compute.attention
        return cls(config, clip=Clip(config.clip, None, attention), sam=Sam(config.sam, attention))

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Mask logits. Outside training, expressions go through in parts of `at_once`: norms in training mode see all.

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
        check_prompts(images, texts, image_index)
        features = self._features(images, texts)  # of all, whose texts are small: FSDP's ranks call encoders alike
        parts = slices(len(texts), len(texts) if self.training else self.at_once)
        prompts = [self._prompt(features, part, image_index) for part in parts]
        with self._encoding("sam"):
            image_BChw = self.sam.encode(images)
        logits = [self._decode(image_BChw[self._index(image_index[part])], prompts.pop(0)) for part in parts]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def prompt(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Prompts:
        """What SAM is prompted with: CLIP's features of each image, filtered by the text. As `forward`, all at once."""
        check_prompts(images, texts, image_index)
        return self._prompt(self._features(images, texts), slice(None), image_index)

    def _features(self, images: Sequence[Tensor], texts: Sequence[str]) -> ClipFeatures:
        with self._encoding("clip_vision"):
            visual_BCHW = self.clip.encode_images(images)
        with self._encoding("clip_text"):
            text = self.clip.encode_texts(texts)
        return self.clip.features(visual_BCHW, text)

    def _prompt(self, features: ClipFeatures, part: slice, image_index: Sequence[int]) -> Prompts:
        """The prompts of some of the expressions."""
        side = self.config.prompter_grid
        index_N = self._index(image_index[part])
        prompts: Prompts = self.prompter(features.of(part), index_N, self.sam.positional_encoding(side, side))
        return prompts

    def _decode(self, image_NChw: Tensor, prompts: Prompts) -> Tensor:
        """SAM's mask logits (N, S, S) of each expression's image and prompts."""
        if prompts.heat_NHW is None:
            dense = self.sam.no_mask()
        else:
            side = self.config.sam.mask_side
            heat = interpolate(prompts.heat_NHW.unsqueeze(1), size=(side, side), mode="bilinear", align_corners=False)
            dense = self.sam.embed_masks(heat.squeeze(1))
        logits, _ = self.sam.decode(image_NChw, prompts.sparse_NMC, dense)
        return logits

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
