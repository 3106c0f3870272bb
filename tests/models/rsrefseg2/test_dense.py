from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.rsrefseg2.dense import upsampled_cosine


def as_released(map_NCHW: Tensor, vector_NC: Tensor, side: int) -> Tensor:
    """Made larger first, then normalised."""
    larger = interpolate(map_NCHW, size=(side, side), mode="bilinear", align_corners=True)
    unit, direction = larger / larger.norm(dim=1, keepdim=True), vector_NC / vector_NC.norm(dim=1, keepdim=True)
    return torch.einsum("nchw,nc->nhw", unit, direction)


def test_the_cosine_without_upsampling_is_the_cosine_of_the_upsampled(subtests: pytest.Subtests) -> None:
    for cells, side in (((4, 4), 16), ((5, 3), 8), ((8, 8), 8), ((7, 6), 4), ((1, 2), 6)):
        with subtests.test(cells=cells, side=side):
            generator = torch.Generator().manual_seed(side)
            inputs = [
                torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 6, *cells), (2, 6))
            ]
            weights = torch.randn(2, side, side, generator=generator, dtype=torch.float64)
            found, gradients = [], []
            for function in (upsampled_cosine, as_released):
                arguments = [values.clone().requires_grad_() for values in inputs]
                cosine = function(*arguments, side)
                found.append(cosine)
                gradients.append(torch.autograd.grad((cosine * weights).sum(), arguments))
            torch.testing.assert_close(*found)
            for one, other in zip(*gradients, strict=True):
                torch.testing.assert_close(one, other)


def test_neighbours_that_cancel_are_no_direction() -> None:
    map_NCHW = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    cosine = upsampled_cosine(map_NCHW, torch.ones(1, 3), 3)  # the middle column is exactly zero
    torch.testing.assert_close(cosine, torch.tensor([1.0, 0.0, -1.0]).expand(1, 3, 3))
