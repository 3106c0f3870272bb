"""CIM, the cross-scale interaction module: the maps of all stages, brought to one grid, learn from each other.

N expressions, C_i the stages' channels, D their sum, d = D / 4, g the coarsest map's side.

    maps of g x g (adaptive average), concatenated -> 1x1 D to d -> block -> BN -> 1x1 d to D -> u_i, each stage's share
    out_i = BN(1x1 F_i) * up(hardsigmoid(BN(1x1 u_i))) + up(BN(1x1' u_i))          up: bilinear, align_corners=False

    block   x += CSA(x);  y = the stages' shares of x, x += [y_i + FF_i(y_i)];  x += CSA'(x);  x += FF(x)
    FF      BN, 1x1 c to 2c, BN, 3x3 in c groups, ReLU6, 1x1 2c to c

CSA attends from every cell to the cells of three scales, g^2 + ceil(g/2)^2 + ceil(g/3)^2 tokens, 314 at g = 15:

    x_0 = BN(x)     x_1 = BN(depthwise 3x3, stride 2, of x_0)     x_2 = BN(depthwise 5x5, stride 3, of x_0)
    q, k, v = BN(linear of the tokens), for each head
    a = softmax(q k / sqrt(key)) v
    o = linear, tokens to g^2, of a + depthwise 3x3 of hardswish(v of x_0's cells)
    CSA(x) = 1x1 of hardswish(BN(linear of o))

`released`: the code views a, which lies as (tokens, heads, value), as (heads * value, tokens), and v, (heads, cells,
value), as (heads * value, cells), without moving anything: cells and channels are mixed. `corrected` moves the axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    hardsigmoid,
    hardswish,
    interpolate,
    scaled_dot_product_attention,
)

from models.rmsin.config import CimConfig


class CSA(nn.Module):
    """Attention over three scales.

    Args:
        config: heads, widths, and how what comes out is laid out.
        width: d.
        grid: g.
    """

    def __init__(self, config: CimConfig, width: int, grid: int) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        inner = config.heads * config.value
        self.norm = nn.BatchNorm2d(width)
        self.halve = nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1, groups=width), nn.BatchNorm2d(width))
        self.third = nn.Sequential(nn.Conv2d(width, width, 5, stride=3, padding=2, groups=width), nn.BatchNorm2d(width))
        self.qkv = nn.Linear(width, config.heads * (2 * config.key + config.value), bias=False)
        self.qkv_norm = nn.BatchNorm1d(self.qkv.out_features)
        tokens = grid**2 + (-(-grid // 2)) ** 2 + (-(-grid // 3)) ** 2
        self.gather = nn.Linear(tokens, grid**2)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.narrow = nn.Linear(inner, width)
        self.project = nn.Sequential(nn.BatchNorm2d(width), nn.Hardswish(), nn.Conv2d(width, width, 1))
        for linear in (self.qkv, self.gather, self.narrow):
            nn.init.trunc_normal_(linear.weight, std=0.02)
        for linear in (self.gather, self.narrow):
            nn.init.zeros_(linear.bias)

    def forward(self, map_Ndgg: Tensor) -> Tensor:
        """-> (N, d, g, g)."""
        query, key, value = self.heads(map_Ndgg)
        attended_NIT, local_NIgg = self.lay_out(scaled_dot_product_attention(query, key, value), value)
        cells_NIgg = self.gather(attended_NIT).unflatten(2, (self.grid, self.grid)) + self.local(hardswish(local_NIgg))
        narrowed_Nggd = self.narrow(cells_NIgg.permute(0, 2, 3, 1))
        return self.project(narrowed_Nggd.permute(0, 3, 1, 2))

    def heads(self, map_Ndgg: Tensor) -> Sequence[Tensor]:
        """Query, key, value, each (N, heads, tokens, its width)."""
        normed = self.norm(map_Ndgg)
        tokens_NTd = torch.cat([x.flatten(2) for x in (normed, self.halve(normed), self.third(normed))], 2).mT
        qkv = self.qkv_norm(self.qkv(tokens_NTd).mT).mT.unflatten(2, (self.config.heads, -1)).transpose(1, 2)
        return qkv.split([self.config.key, self.config.key, self.config.value], dim=3)

    def lay_out(self, attended: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """What attention gives and the values, both (N, heads, tokens, value), with I = heads * value channels: the
        former (N, I, tokens), of the latter the first scale's (N, I, g, g)."""
        count, inner, side = len(value), self.config.heads * self.config.value, (self.grid, self.grid)
        first = value[:, :, : self.grid**2]
        if self.config.csa == "released":
            return attended.transpose(1, 2).reshape(count, inner, -1), first.reshape(count, inner, *side)
        return attended.mT.flatten(1, 2), first.mT.flatten(1, 2).unflatten(2, side)


class FeedForward(nn.Sequential):
    """FF, of c channels."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.BatchNorm2d(2 * width),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=width),
            nn.ReLU6(),
            nn.Conv2d(2 * width, width, 1),
        )


class CimBlock(nn.Module):
    """Across scales, within each, across, over all. `shares`: channels of each stage, which add up to d."""

    def __init__(self, config: CimConfig, shares: Sequence[int], grid: int) -> None:
        super().__init__()
        self.shares = list(shares)
        width = sum(shares)
        self.across, self.across_again = CSA(config, width, grid), CSA(config, width, grid)
        self.within = nn.ModuleList([FeedForward(share) for share in shares])
        self.over_all = FeedForward(width)

    def forward(self, map_Ndgg: Tensor) -> Tensor:
        x = map_Ndgg + self.across(map_Ndgg)
        scales = x.split(self.shares, dim=1)
        x = x + torch.cat([y + forward(y) for y, forward in zip(scales, self.within, strict=True)], dim=1)
        x = x + self.across_again(x)
        return x + self.over_all(x)


class ScaleGate(nn.Module):
    """How a stage's map takes in its share u of what the scales learnt; both of c channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.scale, self.shift = (
            nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)) for _ in range(3)
        )

    def forward(self, map_NcHW: Tensor, share_Ncgg: Tensor) -> Tensor:
        """-> (N, c, H, W)."""
        size = map_NcHW.shape[2:]
        scale, shift = (
            interpolate(values, size=size, mode="bilinear", align_corners=False)
            for values in (hardsigmoid(self.scale(share_Ncgg)), self.shift(share_Ncgg))
        )
        return self.own(map_NcHW) * scale + shift


class CIM(nn.Module):
    """Maps of all stages -> maps of the same shapes.

    Args:
        config: of its attention.
        widths: C_i, multiples of 4.
        grid: g.
    """

    def __init__(self, config: CimConfig, widths: Sequence[int], grid: int) -> None:
        super().__init__()
        self.grid, self.widths = grid, list(widths)
        shares = [width // 4 for width in widths]
        self.enter = nn.Conv2d(sum(widths), sum(shares), 1)
        self.block = CimBlock(config, shares, grid)
        self.leave = nn.Sequential(nn.BatchNorm2d(sum(shares)), nn.Conv2d(sum(shares), sum(widths), 1))
        self.gates = nn.ModuleList([ScaleGate(width) for width in widths])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        pooled_NDgg = torch.cat([adaptive_avg_pool2d(one, self.grid) for one in maps], dim=1)
        shares = self.leave(self.block(self.enter(pooled_NDgg))).split(self.widths, dim=1)
        return [gate(one, share) for gate, one, share in zip(self.gates, maps, shares, strict=True)]
