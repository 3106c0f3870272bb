"""SAM 3 (Meta, 2025): an image encoder and a detector that is prompted with a noun phrase.

It was trained on noun phrases that name every instance of a concept, not on expressions that refer to one. hub:
facebook/sam3, 1008 px; its weights are given out on request.

`reading`: `best`, the mask of the query that scores highest (of 200; their presence score, one for all, changes no
order), as an expression refers to one region; or `semantic`, the map of all instances.

At 1008 px an image's maps are 113 MB, and what the detector makes of them several times that for every expression: one
image is encoded at a time, and few of its expressions are looked for at once, which changes no answer.

B images, N expressions, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import Sam3Model

from models.system import expressions_at_once, slices
from models.zeroshot.zeroshot import ZeroShot


class Sam3(ZeroShot):
    """SAM 3 with its text prompt. Texts longer than 32 tokens are cut, and counted in a warning."""

    kind = Sam3Model
    reading: Literal["best", "semantic"] = "best"

    @property
    def side(self) -> int:
        """As it was trained."""
        return int(self.network.config.vision_config.image_size)

    def logits(self, pixels_B3SS: Tensor, ids_NT: Tensor, mask_NT: Tensor, image_index: Sequence[int]) -> Tensor:
        """As `ZeroShot.logits`."""
        found: dict[int, Tensor] = {}
        for image in dict.fromkeys(image_index):
            encoded = self.network.vision_encoder(pixels_B3SS[image : image + 1])
            maps = [(level.shape[1], level.shape[2]) for level in encoded.fpn_hidden_states]
            places = [place for place, index in enumerate(image_index) if index == image]
            for part in slices(len(places), expressions_at_once(*maps)):
                some = places[part]
                found.update(zip(some, self._masks(encoded, ids_NT[some], mask_NT[some]), strict=True))
        return torch.stack([found[place] for place in range(len(image_index))])

    def _masks(self, encoded: Any, ids_NT: Tensor, mask_NT: Tensor) -> Tensor:
        """Of expressions about one image (N, h, w)."""
        own = type(encoded)(
            fpn_hidden_states=[_repeated(maps, len(ids_NT)) for maps in encoded.fpn_hidden_states],
            fpn_position_encoding=[_repeated(maps, len(ids_NT)) for maps in encoded.fpn_position_encoding],
        )
        output = self.network(vision_embeds=own, input_ids=ids_NT, attention_mask=mask_NT)
        if self.reading == "semantic":
            masks: Tensor = output.semantic_seg[:, 0]
        else:
            masks = output.pred_masks[torch.arange(len(ids_NT)), output.pred_logits.argmax(1)]
        return masks


def _repeated(maps_1Chw: Tensor, times: int) -> Tensor:
    return maps_1Chw.expand(times, -1, -1, -1)
