"""Batch normalisation over the expressions of all ranks.

Batch norms take mean and variance over what is in the batch (models/prompter.py, models/rmsin/). Split among processes
they would see less of it and the result would depend on how many there are. torch.nn.SyncBatchNorm does this on GPUs
only; these few lines do it on a CPU too, so that what is tested is what trains.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum over all ranks. Each rank's loss depends on it, so the gradient is a sum over all ranks as well."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


class RanksBatchNorm(_BatchNorm):
    """A batch norm, of cells or of tokens, whose batch is that of all ranks; names and values as those of the one it
    takes the place of.

    Attributes:
        counts: whether what this rank is shown is part of the batch.
    """

    counts = True

    def forward(self, x_NC: Tensor) -> Tensor:
        """As BatchNorm1d and BatchNorm2d, (N, C), (N, C, L) or (N, C, H, W) -> the same shape."""
        if not self.training:
            return super().forward(x_NC)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        x = x_NC.float()
        here = float(self.counts)
        others, wide = [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))
        cells = _Sum.apply(x.new_tensor([here * (x.numel() // x.shape[1])]))
        mean_C = _Sum.apply(here * x.sum(others)) / cells
        centred = x - mean_C.view(wide)
        variance_C = _Sum.apply(here * centred.square().sum(others)) / cells
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * cells / (cells - 1), self.momentum)
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        normed = centred * scale_C.view(wide) + self.bias.view(wide)
        return normed.to(x_NC.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any: what it takes the place of knows what it normalises."""


def over_all_ranks(model: nn.Module) -> list[RanksBatchNorm]:
    """Let every batch norm of a model be one of these, with its parameters and statistics; all of them."""
    found = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in found:
        norm.__class__ = RanksBatchNorm
    return [norm for norm in found if isinstance(norm, RanksBatchNorm)]
