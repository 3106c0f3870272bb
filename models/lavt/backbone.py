"""A Swin that language enters after each stage's blocks, before its patches are merged.

B images, N expressions, L cells of a stage, H x W its grid, C its channels. Transformers' Swin is run part by part.
What it does otherwise than LAVT's is set right here:
    windows     it shrinks them for good once it has seen a grid that is no larger; `always_partition` keeps them, and
                grids that they do not divide are padded with zeros behind the norm, unmasked
    drop path   it drops the attention branch only; LAVT drops the MLP's as well
    last norm   nothing reads it: each stage's map has a norm of its own
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import SwinConfig, SwinModel

from models.config import check_keys
from models.lavt.config import ImageConfig
from models.lavt.text import TextStates


class Backbone(nn.Module):
    """The Swin and the fusions of its stages.

    Args:
        config: sizes.
        fusions: one for each stage, with `forward` and `carry` as models.lavt.gate.Fusion has them.
    """

    def __init__(self, config: ImageConfig, fusions: Sequence[Any]) -> None:
        super().__init__()
        check_keys("image.swin", config.swin, SwinConfig)
        self.grids = config.grids
        self.swin = make_swin(config)
        self.fusions: Any = nn.ModuleList(fusions)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for width in config.widths])

    def first_stage(self, pixels_B3SS: Tensor) -> Tensor:
        """Patches and the first stage's blocks, which no language has entered -> (B, L, C): one pass for all
        expressions of an image. Drop path, which is small there, is then drawn for an image instead of an expression.
        """
        cells_BLC, _ = self.swin.embeddings(pixels_B3SS)
        return self._blocks(0, cells_BLC)

    def forward(self, first_NLC: Tensor, text: TextStates) -> list[Tensor]:
        """`first_stage`'s cells of each expression's image -> a map (N, C, H, W) of each stage, for the decoder."""
        maps, cells_NLC = [], first_NLC
        for stage, (fusion, norm) in enumerate(zip(self.fusions, self.norms, strict=True)):
            if stage:
                cells_NLC = self._blocks(stage, cells_NLC)
            fused_NLC = fusion(cells_NLC, text)
            side = self.grids[stage]
            maps.append(norm(fused_NLC).transpose(1, 2).unflatten(2, (side, side)))
            merging = self.swin.encoder.layers[stage].downsample
            if merging is not None:
                cells_NLC = merging(fusion.carry(cells_NLC, fused_NLC), (side, side))
        return maps

    def _blocks(self, stage: int, cells_NLC: Tensor) -> Tensor:
        side = self.grids[stage]
        for block in self.swin.encoder.layers[stage].blocks:
            cells_NLC, _ = block(cells_NLC, (side, side), always_partition=True)
        return cells_NLC


def make_swin(config: ImageConfig) -> SwinModel:
    """Transformers' Swin, its weights by their names, with drop path on both branches and without the last norm."""
    settings = SwinConfig(**config.swin)
    settings._attn_implementation = "sdpa"
    swin = SwinModel(settings, add_pooling_layer=False)
    swin.layernorm = nn.Identity()
    for stage in swin.encoder.layers:
        for block in stage.blocks:
            mlp = block.mlp
            parts = {"fc1": mlp.fc1, "activation_fn": mlp.activation_fn, "fc2": mlp.fc2, "drop_path": block.drop_path}
            block.mlp = nn.Sequential(OrderedDict(parts))
    return swin
