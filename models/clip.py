"""CLIP without its pooling: a map of visual features and the hidden state of every text token, in one space.

B images, N expressions, T tokens, C channels, H x W patches. Texts are padded to one fixed length, so what comes out
for an expression never depends on the expressions beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

from models.checkpoint import REMEDY, CheckpointError
from models.config import ClipConfig, check_keys
from models.images import prepare_images


@dataclass(frozen=True)
class ClipFeatures:
    """What AttnPrompter reads.

    visual_BCHW: final-norm patch features · text_NTC: token features · mask_NT: true where a token is one of the
    expression's, false where it is padding · sentence_NC: sentence embeddings · scale, bias: the learnt logit scale
    (already exponentiated) and bias, scalars.
    """

    visual_BCHW: Tensor
    text_NTC: Tensor
    mask_NT: Tensor
    sentence_NC: Tensor
    scale: Tensor
    bias: Tensor


class Clip(nn.Module):
    """A SigLIP model and its tokenizer behind the interface the prompter needs.

    Args:
        config: sizes and normalisation.
        tokenizer: a fast tokenizer whose vocabulary fits `config.text["vocab_size"]`; pads on the right.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ClipConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        check_keys("clip.vision", config.vision, SiglipVisionConfig)
        check_keys("clip.text", config.text, SiglipTextConfig)
        self.model = SiglipModel(SiglipConfig(vision_config=config.vision, text_config=config.text))
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)

    def forward(self, images: Sequence[Tensor], texts: Sequence[str]) -> ClipFeatures:
        """Encode B uint8 CHW images of any size and N expressions."""
        text_NTC, mask_NT, sentence_NC = self.encode_texts(texts)
        return ClipFeatures(
            visual_BCHW=self.encode_images(images),
            text_NTC=text_NTC,
            mask_NT=mask_NT,
            sentence_NC=sentence_NC,
            scale=self.model.logit_scale.exp(),
            bias=self.model.logit_bias,
        )

    def encode_images(self, images: Sequence[Tensor]) -> Tensor:
        """-> (B, C, H, W): the last hidden state after the final norm, as a map."""
        pixels_B3SS = prepare_images(images, self.config.image_side, self.pixel_mean, self.pixel_std)
        hidden_BLC = self.model.vision_model(pixels_B3SS).last_hidden_state
        side = self.config.image_side // int(self.config.vision["patch_size"])
        return hidden_BLC.transpose(1, 2).unflatten(2, (side, side))

    def encode_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """-> token features (N, T, C), which of them are the expression's (N, T), sentence embeddings (N, C).

        SigLIP attends to its padding (it was trained so); the mask is for those who average over tokens.
        """
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.config.text_length,
            truncation=True,
            return_tensors="pt",
        )
        device = self.pixel_mean.device
        output = self.model.text_model(tokens["input_ids"].to(device))
        return output.last_hidden_state, tokens["attention_mask"].bool().to(device), output.pooler_output


def load_tokenizer(file: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a tokenizer.json.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointError: it is truncated.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no tokenizer. {REMEDY}")
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # the tokenizers library would raise a bare Exception that names no file
        raise CheckpointError(f"{file}: not a whole tokenizer ({error}). {REMEDY}") from None
    return PreTrainedTokenizerFast(
        tokenizer_file=str(file), pad_token="</s>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    )
