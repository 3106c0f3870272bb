"""How `lavt-mini`'s Swin learns what is where: regions from each stage, and every cell from all stages together.

What reads the stages here is thrown away; LAVT's own norms, fusions and decoder start afresh.

B images, R regions, C channels, H x W a stage's grid, K kinds of things.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, mse_loss

from benchmark.scenes.everyday.landscape import SURFACES
from benchmark.scenes.everyday.shapes import SHAPES
from benchmark.scenes.sketch import COLOURS
from experiments.foundation_settings import Recipe
from experiments.pretraining.corpus import NONE, Drawn, cell_owner, coverage, pick_batch
from models.lavt.backbone import Backbone
from models.lavt.config import ImageConfig
from models.pixels import prepare_images

KINDS = (*SHAPES, *SURFACES)  # what looks different, by its first name
KIND_OF = {name: KINDS.index(kind) for kind, names in SURFACES.items() for name in names} | {
    name: KINDS.index(kind) for kind, shape in SHAPES.items() for name in (kind, shape.also) if name
}
HUES = tuple(COLOURS)
MIXED = 64  # channels in which the stages' maps are added


class _NoFusion(nn.Module):
    """Stands where language enters: nothing does."""

    def forward(self, cells_NLC: Tensor, text: None) -> Tensor:
        return cells_NLC

    def carry(self, cells_NLC: Tensor, fused_NLC: Tensor) -> Tensor:
        return fused_NLC


def bare_backbone(config: ImageConfig) -> Backbone:
    """A Swin that nothing enters and nothing reads: its parameters are all there are."""
    backbone = Backbone(config, [_NoFusion() for _ in config.widths])
    backbone.norms = nn.ModuleList([nn.Identity() for _ in config.widths])
    return backbone


def stage_maps(config: ImageConfig, backbone: Backbone, images: Sequence[Tensor]) -> list[Tensor]:
    """Each stage's map (B, C, H, W) of uint8 images, behind the backbone's norms."""
    mean, std = (torch.tensor(channels).view(3, 1, 1) for channels in (config.pixel_mean, config.pixel_std))
    return backbone(backbone.first_stage(prepare_images(images, config.side, mean, std)), None)


class SwinPupil(nn.Module):
    """A Swin and what reads it while it learns.

    Without drop path: the scenes are drawn, and there are more of them than are seen twice.
    """

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        steady = config.model_copy(update={"swin": {**config.swin, "drop_path_rate": 0.0}})
        self.backbone = Backbone(steady, [_NoFusion() for _ in config.widths])
        self.region = nn.ModuleList([nn.Linear(width, len(KINDS) + len(HUES) + 2) for width in config.widths])
        self.mixed = nn.ModuleList([nn.Linear(width, MIXED) for width in config.widths])
        self.cell = nn.Linear(MIXED, len(KINDS) + 1 + len(HUES))
        for module in self.backbone.swin.modules():
            if isinstance(module, nn.Linear):  # at these widths 0.02, transformers' own, leaves all attention flat
                nn.init.xavier_uniform_(module.weight)

    def regions(self, maps: Sequence[Tensor], drawn: Drawn) -> list[tuple[Tensor, ...]]:
        """By each stage, of every region: logits of its kind (R, K) and its colour, its centre (R, 2) in [0, 1]."""
        scene_R = torch.tensor(drawn.scene_of)
        said = []
        for map_BCHW, head in zip(maps, self.region, strict=True):
            shares = [torch.from_numpy(coverage(region.mask, map_BCHW.shape[-1])) for region in drawn.regions]
            share_RHW = torch.stack(shares) / torch.stack(shares).sum((1, 2), keepdim=True)
            pooled_BRC = torch.einsum("rhw,bchw->brc", share_RHW, map_BCHW)
            pooled_RC = pooled_BRC[scene_R, torch.arange(len(scene_R))]
            said.append(head(pooled_RC).split([len(KINDS), len(HUES), 2], dim=1))
        return said

    def cells(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of every cell of the finest grid: logits of its kind or, first, of none (B, 1 + K, H, W), and its colour."""
        size = maps[0].shape[2:]
        mixed_BCHW = torch.zeros(())
        for map_BCHW, head in zip(maps, self.mixed, strict=True):
            narrow_BCHW = head(map_BCHW.movedim(1, -1)).movedim(-1, 1)
            mixed_BCHW = mixed_BCHW + interpolate(narrow_BCHW, size=size, mode="bilinear", align_corners=False)
        logits_BCHW = self.cell(mixed_BCHW.relu().movedim(1, -1)).movedim(-1, 1)
        return logits_BCHW[:, : len(KINDS) + 1], logits_BCHW[:, len(KINDS) + 1 :]


def swin_loss(pupil: SwinPupil, seed: Sequence[int], recipe: Recipe) -> Tensor:
    """Kind, colour and place of each region from its mean in each stage's map; kind (or none) and colour of each cell.

    Where a region is no aligned window says by itself, and LAVT has nothing else to tell left from right by. Cells of
    things and of nothing count alike; half-covered ones not at all.
    """
    drawn = pick_batch(seed, recipe, pupil.config.side)
    maps = stage_maps(pupil.config, pupil.backbone, drawn.images)
    kind_R = torch.tensor([KIND_OF[region.category] for region in drawn.regions])
    hue_R = torch.tensor([HUES.index(region.colour) if region.colour else NONE for region in drawn.regions])
    side = pupil.config.side
    centre_R2 = torch.tensor([region.centroid for region in drawn.regions], dtype=torch.float32) / side
    loss = torch.zeros(())
    for kind, hue, centre in pupil.regions(maps, drawn):
        loss = loss + (cross_entropy(kind, kind_R) + cross_entropy(hue, hue_R) + 5 * mse_loss(centre, centre_R2)) / 4
    owner_BHW = torch.from_numpy(cell_owner(drawn, maps[0].shape[-1]))
    own_BHW, bare_BHW = owner_BHW >= 0, owner_BHW == -1
    kind_BKHW, hue_BKHW = pupil.cells(maps)
    nothing_BHW = torch.where(bare_BHW, 0, NONE)
    thing_BHW = torch.where(own_BHW, 1 + kind_R[owner_BHW.clamp(min=0)], NONE)
    hue_BHW = torch.where(own_BHW, hue_R[owner_BHW.clamp(min=0)], NONE)
    loss = loss + cross_entropy(kind_BKHW, thing_BHW) + cross_entropy(hue_BKHW, hue_BHW) / 2
    return loss + cross_entropy(kind_BKHW, nothing_BHW)
