"""The decoder: from the coarsest map to the finest, each finer one taken in on the way.

N expressions, H x W a map's grid, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def plain_convolution(width: int) -> nn.Module:
    """The second convolution of a level, as LAVT has it."""
    return nn.Conv2d(width, width, 3, padding=1, bias=False)


class Level(nn.Module):
    """Takes in one finer map: upsampling, concatenation, and twice a convolution with its norm and ReLU."""

    def __init__(self, inputs: int, width: int, second: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(second(width), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, coarse_NChw: Tensor, fine_NCHW: Tensor) -> Tensor:
        """-> (N, width, H, W)."""
        upsampled = interpolate(coarse_NChw, size=fine_NCHW.shape[2:], mode="bilinear", align_corners=True)
        return self.second(self.first(torch.cat([upsampled, fine_NCHW], dim=1)))


class Decoder(nn.Module):
    """Maps of all stages -> logits of the two classes.

    Args:
        widths: channels of the maps, finest first.
        width: of every level.
        second: makes a level's second convolution.
    """

    def __init__(
        self, widths: Sequence[int], width: int, second: Callable[[int], nn.Module] = plain_convolution
    ) -> None:
        super().__init__()
        *finer, coarsest = widths
        inputs = [coarsest] + [width] * (len(finer) - 1)
        self.levels = nn.ModuleList(
            [Level(coarse + fine, width, second) for coarse, fine in zip(inputs, reversed(finer), strict=True)]
        )
        self.classify = nn.Conv2d(width, 2, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (N, C, H, W), finest first -> (N, 2, H, W) on the finest grid: background, the expression's."""
        *finer, decoded = maps
        for level, fine in zip(self.levels, reversed(finer), strict=True):
            decoded = level(decoded, fine)
        return self.classify(decoded)
