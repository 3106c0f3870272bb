"""CLIPSeg (Lüddecke and Ecker, CVPR 2022, arXiv:2112.10003): a small decoder on the frozen CLIP ViT-B/16.

It was trained on PhraseCut's phrases: everyday photographs, no aerial image. hub: CIDAS/clipseg-rd64-refined, 352 px.
Its logits are read at 0, though its authors choose a threshold for every dataset: that would be training.

B images, N expressions, L patches and CLS, C CLIP's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from torch import Tensor
from transformers import CLIPSegForImageSegmentation

from models.zeroshot.zeroshot import ZeroShot, read_network

HUB = "CIDAS/clipseg-rd64-refined"
SIDE = 352  # as transformers' example has it, not the vision tower's 224: position embeddings are resized
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # not confirmed: its preprocessor_config.json was not at hand


class ClipSeg(ZeroShot):
    """CLIPSeg with its text prompt."""

    @classmethod
    def from_folder(cls, folder: Path, side: int = SIDE) -> Self:
        """As `ZeroShot.from_folder`."""
        network, tokens = read_network(CLIPSegForImageSegmentation, folder)
        return cls(network, tokens, side, MEAN, STD)

    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """As `ZeroShot.logits`; CLIP's text encoder reads up to its end token, so padding needs no mask."""
        clip = self.network.clip
        states = clip.vision_model(pixels_B3SS, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        chosen = [states[layer + 1][list(image_index)] for layer in self.network.extract_layers]
        sentence_NC = clip.get_text_features(ids_NT).pooler_output
        logits: Tensor = self.network.decoder(chosen, sentence_NC).logits
        return logits
