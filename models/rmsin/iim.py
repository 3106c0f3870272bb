"""IIM, the intra-scale interaction module: LAVT's fusion, and a visual branch beside it.

N expressions, L cells, H x W their grid, C channels. With V the cells, F PWAM's, and g_l, g_v two gates of LAVT's form,

    s = sigmoid(rep(relu(rep(mean over C of V))))       one number a cell
    R = V * s
    E = V + g_l(F) * F + g_v(R) * R

Behind the last stage nothing reads E: neither gate nor R is built there.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from models.lavt.gate import Fusion, Gate


class Rep(nn.Module):
    """Three branches on one channel, added: 1x1, norm, 3x3, norm; 1x1, norm; norm alone. No biases."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            nn.Conv2d(1, 1, 1, bias=False),
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )
        self.narrow = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1))
        self.skip = nn.BatchNorm2d(1)

    def forward(self, map_N1HW: Tensor) -> Tensor:
        return self.wide(map_N1HW) + self.narrow(map_N1HW) + self.skip(map_N1HW)


class VisualBranch(nn.Module):
    """V -> R: the cells, each weighted by what stands out around it."""

    def __init__(self) -> None:
        super().__init__()
        self.salience = nn.Sequential(Rep(), nn.ReLU(), Rep(), nn.Sigmoid())

    def forward(self, cells_NLC: Tensor) -> Tensor:
        side = math.isqrt(cells_NLC.shape[1])
        mean_N1HW = cells_NLC.mean(2).unflatten(1, (side, side)).unsqueeze(1)
        return cells_NLC * self.salience(mean_N1HW).flatten(1).unsqueeze(2)


class IIM(Fusion):
    """A stage's PWAM, visual branch and two gates. Arguments as Fusion's."""

    def __init__(self, width: int, text_width: int, *, last: bool = False) -> None:
        super().__init__(width, text_width, last=last)
        self.visual = None if last else VisualBranch()
        self.visual_gate = None if last else Gate(width)

    def carry(self, cells_NLC: Tensor, fused_NLC: Tensor) -> Tensor:
        """V and F -> E, for the next stage."""
        carried_NLC = super().carry(cells_NLC, fused_NLC)
        if self.visual is None or self.visual_gate is None:
            return carried_NLC
        weighted_NLC = self.visual(cells_NLC)
        return carried_NLC + self.visual_gate(weighted_NLC) * weighted_NLC
