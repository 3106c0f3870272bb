"""SAM: encode an image once, decode any number of prompts.

B images, N prompts (one for each expression), M sparse tokens, C channels, h x w the embedding grid (a quarter of the
mask grid's side).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import SamConfig as HfSamConfig
from transformers import SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from models.config import SamConfig, check_keys
from models.pixels import Recall, afresh, prepare_images
from models.sam_attention import widen


class Sam(nn.Module):
    """Transformers' SAM with its parts called directly: its own forward is for inference.

    A fresh model can be trained: transformers draws the positional frequencies with standard deviation
    hidden_size // 2, from which nothing is learnt, so they are drawn again with standard deviation 1.

    Args:
        config: sizes and normalisation.
        attention: of the image encoder: "sdpa", "widened" (models/sam_attention.py), or "eager" (the plain one, to
            compare with).

    Attributes:
        recall: where image embeddings come from, (h, w, C) each; set where the encoder is frozen.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SamConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        check_keys("sam.vision", config.vision, SamVisionConfig)
        check_keys("sam.prompt_encoder", config.prompt_encoder, SamPromptEncoderConfig)
        check_keys("sam.mask_decoder", config.mask_decoder, SamMaskDecoderConfig)
        whole = HfSamConfig(
            vision_config=SamVisionConfig(**config.vision).to_dict(),
            prompt_encoder_config=SamPromptEncoderConfig(**config.prompt_encoder).to_dict(),
            mask_decoder_config=SamMaskDecoderConfig(**config.mask_decoder).to_dict(),
        )
        whole._attn_implementation = "sdpa" if attention == "widened" else attention
        self.model = SamModel(whole)
        if attention == "widened":
            widen(self.model.vision_encoder)
        nn.init.normal_(self.model.shared_image_embedding.positional_embedding, std=1.0)
        self.model.prompt_encoder.shared_embedding = self.model.shared_image_embedding
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)
        self.recall: Recall = afresh

    def distinct_state(self) -> dict[str, Tensor]:
        """The weights, each once: the prompt encoder shares the image's positional frequencies."""
        return {
            name: value
            for name, value in self.model.state_dict().items()
            if name != "prompt_encoder.shared_embedding.positional_embedding"
        }

    def encode(self, images: Sequence[Tensor]) -> Tensor:
        """B uint8 CHW images of any size -> image embeddings (B, C, h, w), in the weights' precision."""
        return self.recall(self._encode, images).to(self.pixel_mean).permute(0, 3, 1, 2)

    def _encode(self, images: Sequence[Tensor]) -> Tensor:
        """-> (B, h, w, C), which is how the encoder leaves them in memory."""
        pixels_B3SS = prepare_images(images, self.config.image_side, self.pixel_mean, self.pixel_std)
        return self.model.vision_encoder(pixels_B3SS).last_hidden_state.permute(0, 2, 3, 1)

    def positional_encoding(self, height: int, width: int) -> Tensor:
        """SAM's encoding of the cell centres of a grid -> (1, C, height, width)."""
        frequencies = self.model.shared_image_embedding.positional_embedding
        rows = (torch.arange(height, device=frequencies.device, dtype=frequencies.dtype) + 0.5) / height
        columns = (torch.arange(width, device=frequencies.device, dtype=frequencies.dtype) + 0.5) / width
        grid_HW2 = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        return self.model.shared_image_embedding(grid_HW2).permute(2, 0, 1).unsqueeze(0)

    def embed_points(self, points_NP2: Tensor, labels_NP: Tensor) -> Tensor:
        """P clicks (x, y in pixels of SAM's input; label 1 on the object, 0 off it) -> (N, P + 1, C)."""
        sparse, _ = self.model.prompt_encoder(points_NP2.unsqueeze(1), labels_NP.unsqueeze(1), None, None)
        return sparse.squeeze(1)

    def embed_boxes(self, boxes_N4: Tensor) -> Tensor:
        """Boxes (x1, y1, x2, y2 in pixels of SAM's input) -> (N, 2, C)."""
        sparse, _ = self.model.prompt_encoder(None, None, boxes_N4.unsqueeze(1), None)
        return sparse.squeeze(1)

    def embed_masks(self, logits_NHW: Tensor) -> Tensor:
        """Coarse masks as logits on the mask grid (4h x 4w) -> dense embeddings (N, C, h, w)."""
        return self.model.prompt_encoder.mask_embed(logits_NHW.unsqueeze(1))

    def no_mask(self) -> Tensor:
        """The dense embedding that says "no mask was given" -> (1, C, 1, 1)."""
        return self.model.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)

    def no_point(self) -> Tensor:
        """The sparse embedding that says "not a point", with which SAM was trained to fill up its prompts -> (C,)."""
        return self.model.prompt_encoder.not_a_point_embed.weight[0]

    def decode(self, image_NChw: Tensor, sparse_NMC: Tensor, dense_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """One mask for each prompt.

        Args:
            image_NChw: the embedding of each prompt's image.
            sparse_NMC: sparse prompts; M may be 0.
            dense_NChw: dense prompts, or `no_mask()`.

        Returns:
            logits (N, 4h, 4w), and the decoder's own estimate of each mask's IoU (N,).
        """
        logits, quality = self.model.mask_decoder(
            image_embeddings=image_NChw,
            image_positional_embeddings=self.positional_encoding(*image_NChw.shape[-2:]),
            sparse_prompt_embeddings=sparse_NMC.unsqueeze(1),
            dense_prompt_embeddings=dense_NChw,
            multimask_output=False,
        )
        return logits[:, 0, 0], quality[:, 0, 0]
