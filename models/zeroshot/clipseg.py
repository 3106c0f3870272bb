"""CLIPSeg (Lüddecke and Ecker, CVPR 2022, arXiv:2112.10003): a small decoder on the frozen CLIP ViT-B/16.

It was trained on PhraseCut's phrases: everyday photographs, no aerial image. hub: CIDAS/clipseg-rd64-refined, 352 px.
Its logits are read at 0, though its authors choose a threshold for every dataset: that would be training.

B images, N expressions, L patches and CLS, C CLIP's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPSegForImageSegmentation, PreTrainedTokenizerFast

from models.config import SettingError
from models.errors import CheckpointError
from models.system import expressions_at_once, slices
from models.zeroshot.config import ClipSegConfig, ZeroShotConfig
from models.zeroshot.zeroshot import ZeroShot

LARGEST = 2  # an end token of older config.json, which the code reads as: the largest number is the end


class ClipSeg(ZeroShot):
    """CLIPSeg with its text prompt. Texts longer than 77 tokens are cut, and counted in a warning."""

    kind = CLIPSegForImageSegmentation

    def __init__(self, config: ClipSegConfig, network: Any, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(config, network, tokenizer)
        self._side, patch = config.side, network.config.vision_config.patch_size
        if config.side % patch:
            raise SettingError(f"side is {config.side}, which patches of {patch} px do not fill; give a multiple of it")

    @classmethod
    def read(cls, config: ZeroShotConfig, folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
        """As `ZeroShot.read`."""
        network, tokenizer = super().read(config, folder)
        end, ours = network.config.text_config.eos_token_id, tokenizer.eos_token_id
        if end not in (LARGEST, ours):  # the sentence would be read at the first token, whatever it says
            raise CheckpointError(
                f"{folder / 'tokenizer.json'}: the end token is number {ours}, and config.json looks for {end}. "
                "Take the tokenizer that belongs to the weights"
            )
        return network, tokenizer

    @property
    def side(self) -> int:
        """As the configuration says."""
        return self._side

    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """As `ZeroShot.logits`; CLIP's text encoder reads up to its end token, so padding needs no mask."""
        clip = self.network.clip
        states = clip.vision_model(pixels_B3SS, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        chosen = [states[layer + 1] for layer in self.network.extract_layers]
        sentence_NC = clip.get_text_features(ids_NT).pooler_output
        width, grid = len(chosen) * chosen[0].shape[-1], self.side // self.network.config.vision_config.patch_size
        logits = [
            self.network.decoder([state_BLC[list(image_index[part])] for state_BLC in chosen], sentence_NC[part]).logits
            for part in slices(len(image_index), expressions_at_once((width, grid)))
        ]
        return torch.cat(logits)
