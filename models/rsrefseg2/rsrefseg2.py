"""RSRefSeg 2 (Chen et al., github.com/KyanChen/RSRefSeg2): CLIP -> CascadedPrompter -> SAM 2 or SAM, wired.

B images, N expressions; `image_index` says which image each expression is about. Both image encoders run once an image,
the prompter and SAM's decoder once an expression.

Every image is stretched to the square that an encoder takes, as everywhere in this project. The released recipe keeps
the aspect and pads; the published datasets' images are square, for which the two are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.clip import Clip
from models.lora import add_adapters, freeze
from models.prompted_sam import CLIP_COMPONENTS, PromptedSam
from models.rsrefseg2.config import RSRefSeg2Config, Sam2Config
from models.rsrefseg2.losses import cell_weights, contrast_loss, orthogonality_loss, region_vectors
from models.rsrefseg2.prompter import Cascade, CascadedPrompter
from models.rsrefseg2.sam2 import Sam2
from models.rsrefseg2.tuning import adapter_targets, trains
from models.sam import Sam
from models.system import check_prompts
from models.weights.foundation import load_clip, load_sam
from models.weights.sam2 import load_sam2


class Outputs(NamedTuple):
    """What one pass gives: logits_NSS on SAM's mask grid, and what the side losses are of.

    first_NC, second_NC: each set's mean query, equal if there is one set · visual_BCHW: CLIP's map of each image.
    """

    logits_NSS: Tensor
    first_NC: Tensor
    second_NC: Tensor
    visual_BCHW: Tensor


class RSRefSeg2(PromptedSam):
    """The whole model.

    Args:
        config: which parts it has.
        clip, sam: the foundation models, pretrained; they are adapted and frozen in place.
    """

    components: ClassVar = {
        **CLIP_COMPONENTS,
        "contrast's scale": ("contrast_scale",),
        "CascadedPrompter": ("prompter",),
        "SAM image encoder": ("sam.model.vision_encoder",),
        "SAM prompt encoder": ("sam.model.prompt_encoder", "sam.model.shared_image_embedding"),
        "SAM mask decoder": ("sam.model.mask_decoder", "sam.model.no_memory_embedding"),
    }

    def __init__(self, config: RSRefSeg2Config, *, clip: Clip, sam: Sam | Sam2) -> None:
        super().__init__()
        self.config = config
        self.clip = clip
        self.sam = sam
        weights = config.side_losses
        self.side_losses = bool(weights.contrast or (weights.orthogonality and config.prompter.second_query))
        self.prompter = CascadedPrompter(
            config.prompter,
            clip_width=config.clip.width,
            clip_grid=config.clip.grid,
            sam_width=config.sam.width,
            mask_side=config.sam.mask_side,
        )
        if config.side_losses.contrast:
            self.contrast_scale = nn.Parameter(torch.tensor([math.log(1 / 0.07)]))  # (1,): FSDP splits no scalar
        if config.lora is not None:
            add_adapters(self, adapter_targets(config, config.lora), config.lora)
        freeze(self, trains)
        self._set_up_encoders()

    @classmethod
    def from_foundation(cls, config: RSRefSeg2Config, folder: Path) -> RSRefSeg2:
        """Built on the weights of a foundation folder (weights/<model>/)."""
        attention = config.compute.attention
        sam: Sam | Sam2
        if isinstance(config.sam, Sam2Config):
            sam = load_sam2(config.sam, folder, attention)
        else:
            sam = load_sam(config.sam, folder, attention)
        return cls(config, clip=load_clip(config.clip, folder, attention), sam=sam)

    @classmethod
    def from_config(cls, config: RSRefSeg2Config) -> RSRefSeg2:
        """Without pretrained weights and tokenizer."""
        attention = config.compute.attention
        kind: Any = Sam2 if isinstance(config.sam, Sam2Config) else Sam
        return cls(config, clip=Clip(config.clip, None, attention), sam=kind(config.sam, attention))

    def forward(
        self,
        images: Sequence[Tensor],
        texts: Sequence[str],
        image_index: Sequence[int],
        masks: Sequence[Tensor] | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Mask logits; with true masks, the side loss too. For the rest see models.rsrefseg.RSRefSeg.forward."""
        outputs = self.outputs(images, texts, image_index)
        if masks is None:
            return outputs.logits_NSS
        return outputs.logits_NSS, self.side_loss(outputs, texts, image_index, masks)

    def prompt(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> tuple[Cascade, Tensor]:
        """What SAM is prompted with, and CLIP's map of each image (B, C, H, W). Arguments and errors as `forward`."""
        check_prompts(images, texts, image_index)
        with self._encoding("clip_vision"):
            visual_BCHW = self.clip.encode_images(images)
        with self._encoding("clip_text"):
            text = self.clip.encode_texts(texts)
        index_N = self._index(image_index)
        cascade: Cascade = self.prompter(self.clip.features(visual_BCHW, text), index_N)
        return cascade, visual_BCHW

    def outputs(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Outputs:
        """Mask logits, and what `side_loss` needs. Arguments and errors as `forward`."""
        cascade, visual_BCHW = self.prompt(images, texts, image_index)
        dense = self.sam.embed_masks(cascade.heat_NSS)
        if isinstance(self.sam, Sam2):
            with self._encoding("sam"):
                pyramid = self.sam.encode(images)
            logits_NSS, _ = self.sam.decode(self.sam.embed(pyramid).of(image_index), cascade.sparse_NPD, dense)
        else:
            with self._encoding("sam"):
                image_BChw = self.sam.encode(images)
            logits_NSS, _ = self.sam.decode(image_BChw[list(image_index)], cascade.sparse_NPD, dense)
        first_NC, second_NC = (cascade.queries[place].mean(1) for place in (0, -1))
        return Outputs(logits_NSS, first_NC, second_NC, visual_BCHW)

    @torch.no_grad()
    def activations(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[dict[str, NDArray[np.float32]]]:
        """What each expression lights up, for looking at: N dicts of `dense`, the sigmoid of the dense prompt (S, S).

        Arguments and errors as `predict_logits`.
        """
        self._check_evaluating()
        cascade, _ = self.prompt(images, texts, image_index)
        return [{"dense": heat_SS} for heat_SS in cascade.heat_NSS.sigmoid().float().cpu().numpy()]

    def side_loss(
        self, outputs: Outputs, texts: Sequence[str], image_index: Sequence[int], masks: Sequence[Tensor]
    ) -> Tensor:
        """The weighted losses that are not of the mask, a scalar.

        Args:
            outputs: of these texts and images.
            masks: N true masks, bool (h, w), each at its image's own size.
        """
        weights, total = self.config.side_losses, outputs.logits_NSS.new_zeros(())
        if weights.orthogonality and self.config.prompter.second_query:
            total = total + weights.orthogonality * orthogonality_loss(outputs.first_NC, outputs.second_NC)
        if weights.contrast:
            visual_NCHW = outputs.visual_BCHW[list(image_index)]
            cells = cell_weights(masks, self.config.clip.grid, weights.rule).to(visual_NCHW)
            same_NN = None
            if weights.rule == "corrected":
                same_NN = torch.tensor([[one == other for other in texts] for one in texts], device=cells.device)
            region_NC, scale = region_vectors(visual_NCHW, cells), self.contrast_scale.exp()
            total = total + weights.contrast * contrast_loss(region_NC, outputs.second_NC, scale, same_NN)
        return total
