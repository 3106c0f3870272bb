from __future__ import annotations

import math

import torch
from torch.nn.functional import conv2d, grid_sample

from models.rmsin.arc import ARC, turned
from tests.language_aware import close, drawn, noise


def test_a_kernel_turned_by_nothing_is_itself() -> None:
    kernel = noise(4, 3, 3, 3)
    assert torch.equal(turned(kernel, torch.zeros(2, dtype=torch.float64)), kernel.expand(2, -1, -1, -1, -1))


def test_a_turned_kernel_is_sampled_bilinearly_with_its_border_held() -> None:
    kernel, angles = noise(4, 5, 3, 3), torch.tensor([-0.6, 0.2, 0.69], dtype=torch.float64)
    for angle, found in zip(angles.tolist(), turned(kernel, angles), strict=True):
        taps = [[(x, y) for x in (-1, 0, 1)] for y in (-1, 0, 1)]
        cos, sin = math.cos(angle), math.sin(angle)
        grid = torch.tensor(
            [[(x * cos - y * sin, x * sin + y * cos) for x, y in row] for row in taps], dtype=torch.float64
        )
        sampled = grid_sample(kernel, grid.expand(4, -1, -1, -1), padding_mode="border", align_corners=True)
        close(found, sampled)


def test_at_no_angle_and_full_weight_it_is_a_plain_convolution() -> None:
    arc, x = drawn(ARC(6)), noise(3, 6, 5, 4)
    with torch.no_grad():
        arc.theta.weight.zero_()
        arc.alpha.weight.zero_()
        arc.alpha.bias.fill_(1e3)
    close(arc(x), conv2d(x, arc.weight, padding=1))


def test_each_sample_turns_and_weighs_its_own_kernel() -> None:
    arc, x = drawn(ARC(6)), noise(3, 6, 5, 4)
    alpha, theta = arc.route(x)
    assert theta.unique().numel() == alpha.unique().numel() == 3
    assert ((alpha > 0) & (alpha < 1) & (theta.abs() < math.radians(40))).all()
    for place in range(3):
        kernel = alpha[place] * turned(arc.weight, theta[place : place + 1])[0]
        close(arc(x)[place], conv2d(x[place : place + 1], kernel, padding=1)[0])
