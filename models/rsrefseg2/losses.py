"""The losses of RSRefSeg 2: 5 BCE + 5 Dice of the mask, 0.5 orthogonality + 0.5 contrast of what led to it.

N expressions, C CLIP's width, H x W cells of CLIP's map. Pure functions of tensors.

    dice             1 - 2 sum(p t) / (sum p^2 + sum t^2 + 2 eps), eps = 1e-3 (Milletari et al., V-Net, 2016; as mmseg)
    orthogonality    mean cos^2(q1, q2), of each set's mean query: the two should say different things
    contrast         InfoNCE (Oord et al., 2018), both directions, between CLIP's map inside the mask and q2: an
                     expression's region is nearer to its own query than to those of its batch-mates

`released`: a cell is inside where the mask, made smaller (bilinear, corners kept), is above 1/2. That looks at one spot
a cell, so a small object may vanish: its region is zero and pulls nowhere. Two expressions with the same words are
counterexamples.
`corrected`: a cell counts as much as the mask covers it, and the same words are no counterexample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import (
    adaptive_avg_pool2d,
    cosine_similarity,
    cross_entropy,
    interpolate,
    normalize,
)

EPSILON = 1e-3


def squared_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Dice with squared denominators, mean over N."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum((1, 2))
    sizes = (probability**2).sum((1, 2)) + (target**2).sum((1, 2))
    return (1 - 2 * overlap / (sizes + 2 * EPSILON)).mean()


def orthogonality_loss(first_NC: Tensor, second_NC: Tensor) -> Tensor:
    """Mean squared cosine."""
    return (cosine_similarity(first_NC, second_NC, dim=1) ** 2).mean()


def cell_weights(masks: Sequence[Tensor], grid: int, rule: str) -> Tensor:
    """How much each cell of CLIP's map is inside N masks (h, w), each of any size -> (N, grid, grid) in [0, 1]."""
    if rule == "corrected":
        return torch.cat([adaptive_avg_pool2d(mask[None].float(), grid) for mask in masks])
    smaller = [
        interpolate(mask[None, None].float(), (grid, grid), mode="bilinear", align_corners=True) for mask in masks
    ]
    return (torch.cat(smaller)[:, 0] > 0.5).float()


def region_vectors(map_NCHW: Tensor, weight_NHW: Tensor) -> Tensor:
    """The direction of the map's mean inside -> (N, C) unit vectors, or zero where nothing is inside."""
    return normalize(torch.einsum("nchw,nhw->nc", map_NCHW, weight_NHW), dim=1)


def contrast_loss(region_NC: Tensor, query_NC: Tensor, scale: Tensor, same_NN: Tensor | None = None) -> Tensor:
    """InfoNCE of N pairs, the mean of both directions.

    Args:
        region_NC, query_NC: of the same expressions; compared by cosine.
        scale: what cosines are multiplied with, 1 / temperature.
        same_NN: true where two expressions are no counterexamples of each other.
    """
    logits_NN = scale * normalize(region_NC, dim=1) @ normalize(query_NC, dim=1).T
    own_N = torch.arange(len(logits_NN), device=logits_NN.device)
    if same_NN is not None:
        others_NN = same_NN & ~torch.eye(len(own_N), dtype=torch.bool, device=same_NN.device)
        logits_NN = logits_NN.masked_fill(others_NN, -torch.inf)
    return (cross_entropy(logits_NN, own_N) + cross_entropy(logits_NN.T, own_N)) / 2
