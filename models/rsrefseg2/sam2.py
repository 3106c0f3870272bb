"""SAM 2: encode an image once, decode any number of prompts, as models/sam.py does SAM.

B images, N prompts (one for each expression), M sparse tokens, C channels, h x w the embedding grid (a quarter of the
mask grid's side).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import Sam2Config as HfSam2Config
from transformers import (
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from models.config import check_keys
from models.pixels import prepare_images
from models.rsrefseg2.config import Sam2Config


class Sam2Image(NamedTuple):
    """What SAM 2 knows of images: fine (·, ·, 4h, 4w), middle (·, ·, 2h, 2w) and coarse (·, C, h, w) maps."""

    fine: Tensor
    middle: Tensor
    coarse: Tensor

    def of(self, image_index: Sequence[int]) -> Sam2Image:
        """The images of N prompts."""
        return Sam2Image(*(maps[list(image_index)] for maps in self))


class Sam2(nn.Module):
    """Transformers' SAM 2 with its parts called directly: its own forward and get_image_embeddings are for inference.

    Args:
        config: sizes and normalisation.
        attention: of the image encoder: "sdpa", or "eager" (the plain one, to compare with).
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: Sam2Config, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        check_keys("sam.backbone", config.backbone, Sam2HieraDetConfig)
        check_keys("sam.vision", config.vision, Sam2VisionConfig)
        check_keys("sam.prompt_encoder", config.prompt_encoder, Sam2PromptEncoderConfig)
        check_keys("sam.mask_decoder", config.mask_decoder, Sam2MaskDecoderConfig)
        # its default replaces the mask by one of the three that no training here ever sees
        decoder = {"dynamic_multimask_via_stability": False, **config.mask_decoder}
        backbone = Sam2HieraDetConfig(**config.backbone).to_dict()
        whole = HfSam2Config(
            vision_config=Sam2VisionConfig(backbone_config=backbone, **config.vision).to_dict(),
            prompt_encoder_config=Sam2PromptEncoderConfig(**config.prompt_encoder).to_dict(),
            mask_decoder_config=Sam2MaskDecoderConfig(**decoder).to_dict(),
        )
        whole._attn_implementation = attention
        self.model = Sam2Model(whole)
        self.model.vision_encoder.supports_gradient_checkpointing = True  # its blocks do, and do not say so
        self.model.prompt_encoder.shared_embedding = self.model.shared_image_embedding
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)

    def distinct_state(self) -> dict[str, Tensor]:
        """The weights, each once: the prompt encoder shares the image's positional frequencies."""
        return {
            name: value
            for name, value in self.model.state_dict().items()
            if name != "prompt_encoder.shared_embedding.positional_embedding"
        }

    def encode(self, images: Sequence[Tensor]) -> Sam2Image:
        """B uint8 CHW images of any size -> the feature pyramid, each map of C channels, in the weights' precision."""
        pixels_B3SS = prepare_images(images, self.config.image_side, self.pixel_mean, self.pixel_std)
        maps = self.model.vision_encoder(pixels_B3SS).fpn_hidden_states
        return Sam2Image(*(features.to(self.pixel_mean.dtype) for features in maps))

    def embed(self, pyramid: Sam2Image) -> Sam2Image:
        """The pyramid as the mask decoder takes it: an image that follows no other, the finer maps in fewer channels.

        Apart from `encode`, for these weights are trained also where the encoder's are not.
        """
        alone_1C11 = self.model.no_memory_embedding.view(1, -1, 1, 1)
        decoder = self.model.mask_decoder
        return Sam2Image(decoder.conv_s0(pyramid.fine), decoder.conv_s1(pyramid.middle), pyramid.coarse + alone_1C11)

    def embed_masks(self, logits_NHW: Tensor) -> Tensor:
        """Coarse masks as logits on the mask grid (4h x 4w) -> dense embeddings (N, C, h, w)."""
        return self.model.prompt_encoder.mask_embed(logits_NHW.unsqueeze(1))

    def decode(self, image: Sam2Image, sparse_NMC: Tensor, dense_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """One mask for each prompt.

        Args:
            image: what `embed` made of each prompt's image.
            sparse_NMC: sparse prompts; M is 1 at least.
            dense_NChw: dense prompts.

        Returns:
            logits (N, 4h, 4w), and the decoder's own estimate of each mask's IoU (N,).
        """
        logits, quality, _, _ = self.model.mask_decoder(
            image_embeddings=image.coarse,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().expand_as(image.coarse),
            sparse_prompt_embeddings=sparse_NMC.unsqueeze(1),
            dense_prompt_embeddings=dense_NChw,
            multimask_output=False,
            high_resolution_features=[image.fine, image.middle],
        )
        return logits[:, 0, 0], quality[:, 0, 0]
