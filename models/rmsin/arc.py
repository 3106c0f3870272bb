"""ARC, the adaptive rotated convolution (Pu et al., ICCV 2023, arXiv:2303.07820), with one kernel.

N samples, C channels, K = 9 taps of a 3x3 kernel W. Each sample turns the kernel to the direction of what it sees:

    p = dropout(mean over the map of relu(LN over C(depthwise 3x3 of x)))
    alpha = sigmoid(w . p + b)         theta = 40 degrees * softsign(w' . p)
    W'(t) = alpha * bilinear W(R t)    at each tap t in {-1, 0, 1}^2, coordinates outside clamped to the border

with R t = (x cos theta - y sin theta, x sin theta + y cos theta). Which way that turns is a matter of w'.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, softsign

LARGEST_ANGLE = math.radians(40)
DROPOUT = 0.2


class ARC(nn.Module):
    """A 3x3 convolution without bias, C to C, whose kernel each sample turns and weighs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width, 3, 3))
        self.look = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)
        self.alpha = nn.Linear(width, 1)
        self.theta = nn.Linear(width, 1, bias=False)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        for linear in (self.alpha, self.theta):
            nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(self.alpha.bias)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """-> (N, C, H, W): one convolution in N groups."""
        count, width = map_NCHW.shape[:2]
        alpha_N, theta_N = self.route(map_NCHW)
        kernels = turned(self.weight, theta_N) * alpha_N.view(-1, 1, 1, 1, 1)
        grouped = conv2d(map_NCHW.flatten(0, 1).unsqueeze(0), kernels.flatten(0, 1), padding=1, groups=count)
        return grouped.squeeze(0).unflatten(0, (count, width))

    def route(self, map_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """alpha in (0, 1) and theta in radians, both (N,)."""
        seen_NHWC = self.look(map_NCHW).permute(0, 2, 3, 1)
        seen_NC = self.dropout(self.norm(seen_NHWC).relu().mean((1, 2)))
        return self.alpha(seen_NC).sigmoid().squeeze(1), LARGEST_ANGLE * softsign(self.theta(seen_NC)).squeeze(1)


def turned(kernel_OI33: Tensor, theta_N: Tensor) -> Tensor:
    """W(R t) for each angle -> (N, O, I, 3, 3).

    Every tap of the turned kernel is a weighted sum of the kernel's taps: a bilinear weight is the product of the hats
    max(0, 1 - distance) of rows and columns.
    """
    taps_3 = torch.arange(-1, 2, device=theta_N.device, dtype=theta_N.dtype)
    y_33, x_33 = torch.meshgrid(taps_3, taps_3, indexing="ij")
    cos_N11, sin_N11 = theta_N.cos().view(-1, 1, 1), theta_N.sin().view(-1, 1, 1)
    at = {"x": x_33 * cos_N11 - y_33 * sin_N11, "y": x_33 * sin_N11 + y_33 * cos_N11}
    hats = {axis: (1 - (place.clamp(-1, 1).unsqueeze(3) - taps_3).abs()).relu() for axis, place in at.items()}
    return torch.einsum("oirc,nyxr,nyxc->noiyx", kernel_OI33, hats["y"], hats["x"])
