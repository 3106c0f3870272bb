"""SAM 3 (Meta, 2025): an image encoder and a detector that is prompted with a noun phrase.

It was trained on noun phrases that name every instance of a concept, not on expressions that refer to one. hub:
facebook/sam3, 1008 px; its weights are given out on request.

`reading`: `best`, the mask of the query that scores highest (of 200; their presence score, one for all, changes no
order), as an expression refers to one region; or `semantic`, the map of all instances.

B images, N expressions, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor
from transformers import Sam3Model

from models.zeroshot.zeroshot import ZeroShot, read_network

HUB = "facebook/sam3"
MEAN = STD = (0.5, 0.5, 0.5)


class Sam3(ZeroShot):
    """SAM 3 with its text prompt. Texts longer than 32 tokens are cut, and counted in a warning."""

    reading: Literal["best", "semantic"] = "best"

    @classmethod
    def from_folder(cls, folder: Path, reading: Literal["best", "semantic"] = "best") -> Self:
        """As `ZeroShot.from_folder`."""
        network, tokens = read_network(Sam3Model, folder)
        model = cls(network, tokens, network.config.vision_config.image_size, MEAN, STD)
        model.reading = reading
        return model

    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """As `ZeroShot.logits`; the detector runs for one image's expressions at a time, whose maps are large."""
        encoded = self.network.vision_encoder(pixels_B3SS)
        found: dict[int, Tensor] = {}
        for image in dict.fromkeys(image_index):
            places = [place for place, index in enumerate(image_index) if index == image]
            own = type(encoded)(
                fpn_hidden_states=[_repeated(maps, image, len(places)) for maps in encoded.fpn_hidden_states],
                fpn_position_encoding=[_repeated(maps, image, len(places)) for maps in encoded.fpn_position_encoding],
            )
            output = self.network(vision_embeds=own, input_ids=ids_NT[places], attention_mask=mask_NT[places])
            if self.reading == "semantic":
                masks = output.semantic_seg[:, 0]
            else:
                masks = output.pred_masks[torch.arange(len(places)), output.pred_logits.argmax(1)]
            found.update(zip(places, masks, strict=True))
        return torch.stack([found[place] for place in range(len(image_index))])


def _repeated(maps_BChw: Tensor, image: int, times: int) -> Tensor:
    return maps_BChw[image : image + 1].expand(times, -1, -1, -1)
