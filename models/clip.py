"""CLIP without its pooling: a map of visual features and the hidden state of every text token, in one space.

B images, N expressions, T tokens, C channels, H x W patches. Texts are padded to one fixed length, so what comes out
for an expression never depends on the expressions beside it. What comes out is in the weights' precision, also where
the encoders run in a lower one: a cosine of 8 bits times a scale of 100 would be no logit.

Three families give the same ClipFeatures:
    siglip, siglip2   patches after the final norm and token states are of one width and compared as they are; siglip2's
                      fixed-resolution checkpoints have siglip's layers and other tokens
    clip              both are projected (patches after the final norm, without CLS) by CLIP's own two projections
SigLIP was trained with a sigmoid and has learnt where its logits are zero (its bias). CLIP was trained with a softmax
over captions: only differences between captions mean anything. Its zero is therefore a second, neutral caption n: the
logit of text t at patch v is s (v^ . t^ - v^ . n^), whose sigmoid is CLIP's own softmax over the two captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from models.config import ClipConfig, check_keys
from models.pixels import Recall, afresh, prepare_images
from models.tokens import Tokens
from models.transfer import to_device


class TextFeatures(NamedTuple):
    """Token features, which of them are the expression's, sentence embeddings, and the neutral caption's embedding
    (None where the zero of the logits was learnt)."""

    text_NTC: Tensor
    mask_NT: Tensor
    sentence_NC: Tensor
    neutral_C: Tensor | None


@dataclass(frozen=True)
class ClipFeatures:
    """What AttnPrompter reads.

    visual_BCHW: final-norm patch features · text_NTC: token features · mask_NT: true where a token is one of the
    expression's (its end token is the last of them), false where it is padding · sentence_NC: sentence embeddings ·
    scale, bias: the logit scale (already exponentiated) and bias, scalars · neutral_C: as in TextFeatures.
    """

    visual_BCHW: Tensor
    text_NTC: Tensor
    mask_NT: Tensor
    sentence_NC: Tensor
    scale: Tensor
    bias: Tensor
    neutral_C: Tensor | None

    def of(self, part: slice) -> ClipFeatures:
        """Those of some of the expressions, on all images."""
        return replace(
            self, text_NTC=self.text_NTC[part], mask_NT=self.mask_NT[part], sentence_NC=self.sentence_NC[part]
        )


class Clip(nn.Module):
    """A CLIP and its tokenizer behind the interface the prompter needs.

    Args:
        config: family, sizes and normalisation.
        tokenizer: a fast tokenizer whose vocabulary fits `config.text["vocab_size"]`; pads on the right.
        attention: "sdpa" (so is "widened": there are no relative positions here), or "eager" (the plain one, to compare
            with).

    Attributes:
        recall, recall_texts: where the features of patches, (L, C) an image, and the states of tokens, (T, C) a row of
            ids, come from; set where their encoder is frozen.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ClipConfig, tokenizer: PreTrainedTokenizerFast, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.tokens = Tokens(tokenizer, config.family, config.text_length)
        classes = _CLASSES["clip" if config.family == "clip" else "siglip"]
        check_keys("clip.vision", config.vision, classes.vision)
        check_keys("clip.text", config.text, classes.text)
        space = {} if config.projection is None else {"projection_dim": config.projection}
        whole = classes.config(vision_config=config.vision, text_config=config.text, **space)
        whole._attn_implementation = "sdpa" if attention == "widened" else attention
        self.model = classes.model(whole)
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)
        self.recall: Recall = afresh
        self.recall_texts: Recall | None = None

    def forward(self, images: Sequence[Tensor], texts: Sequence[str]) -> ClipFeatures:
        """Encode B uint8 CHW images of any size and N expressions."""
        return self.features(self.encode_images(images), self.encode_texts(texts))

    def features(self, visual_BCHW: Tensor, text: TextFeatures) -> ClipFeatures:
        """Both halves, with the scale and the zero of their logits."""
        scale = self.model.logit_scale.exp()
        bias = torch.zeros_like(scale) if self.config.family == "clip" else self.model.logit_bias
        return ClipFeatures(visual_BCHW, text.text_NTC, text.mask_NT, text.sentence_NC, scale, bias, text.neutral_C)

    def encode_images(self, images: Sequence[Tensor]) -> Tensor:
        """-> (B, C, H, W): the last hidden state after the final norm, as a map."""
        map_BCL = self.recall(self._encode_patches, images).transpose(1, 2).to(self.pixel_mean)
        return map_BCL.unflatten(2, (self.config.grid, self.config.grid))

    def _encode_patches(self, images: Sequence[Tensor]) -> Tensor:
        """-> (B, L, C)."""
        pixels_B3SS = prepare_images(
            images, self.config.image_side, self.pixel_mean, self.pixel_std, through=self.config.through_side
        )
        vision = self.model.vision_model
        hidden_BLC = vision(pixels_B3SS).last_hidden_state
        if self.config.family == "clip":  # transformers norms and projects the pooled CLS alone
            hidden_BLC = self.model.visual_projection(vision.post_layernorm(hidden_BLC[:, 1:]))
        return hidden_BLC

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Encode N expressions, and the neutral caption if there is one.

        SigLIP attends to its padding (it was trained so) and a CLIP token to those before it: neither takes a mask. The
        mask that comes out is for those who average over tokens.

        Raises:
            ExpressionError: one of them holds nothing that CLIP reads.
        """
        captions = list(texts) if self.config.neutral is None else [*texts, self.config.neutral]
        ids, mask = self.tokens(captions)
        token_LTC, sentence_LC = self._text_states(ids, mask)
        if self.config.family == "clip":
            token_LTC, sentence_LC = self.model.text_projection(token_LTC), self.model.text_projection(sentence_LC)
        token_LTC, sentence_LC = token_LTC.to(self.pixel_mean.dtype), sentence_LC.to(self.pixel_mean.dtype)
        count = len(texts)
        neutral_C = None if self.config.neutral is None else sentence_LC[count]
        mask_NT = to_device(mask[:count], token_LTC.device)
        return TextFeatures(token_LTC[:count], mask_NT, sentence_LC[:count], neutral_C)

    def _text_states(self, ids_LT: Tensor, mask_LT: Tensor) -> tuple[Tensor, Tensor]:
        """What the text encoder makes of every token (L, T, C), and of every text (L, C)."""
        encoder, device = self.model.text_model, self.pixel_mean.device
        if self.recall_texts is None:
            output = encoder(to_device(ids_LT, device))
            return output.last_hidden_state, output.pooler_output

        def encode(rows: Sequence[Tensor]) -> Tensor:
            states: Tensor = encoder(torch.stack(list(rows)).to(device)).last_hidden_state
            return states

        token_LTC = self.recall_texts(encode, ids_LT.unbind()).to(self.pixel_mean)
        if self.config.family == "clip":  # the state of its end token
            return token_LTC, token_LTC[range(len(ids_LT)), (mask_LT.sum(1) - 1).tolist()]
        return token_LTC, encoder.head(token_LTC[:, -1])  # of its last token, which may be padding


class _Classes(NamedTuple):
    model: Any
    config: Any
    vision: Any
    text: Any


_CLASSES = {
    "siglip": _Classes(SiglipModel, SiglipConfig, SiglipVisionConfig, SiglipTextConfig),
    "clip": _Classes(CLIPModel, CLIPConfig, CLIPVisionConfig, CLIPTextConfig),
}
