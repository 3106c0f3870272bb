"""The losses, named, each a mean over N expressions of logits (N, h, w) and targets in [0, 1].

    bce, dice       RSRefSeg's, and an option for masks that cover little of the image
    class_bce       LAVT's and RMSIN's cross-entropy of two weighted classes
    class_dice      RMSIN's Dice of both classes; it sums over a batch: a weight here is its own times that batch
    squared_dice    RSRefSeg 2's

What a system needs of its features besides, it gives itself (System.side_losses).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from benchmark.data.loader import Batch
from experiments.settings import LossConfig
from models.losses import class_weighted_bce, two_class_dice
from models.rsrefseg2.losses import squared_dice_loss
from models.transfer import to_device


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits (N, h, w) and targets in [0, 1]."""
    return binary_cross_entropy_with_logits(logits, target)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - 2|P T| / (|P| + |T|), smoothed by one cell, mean over N (Milletari et al., V-Net, 2016, section 3)."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum((1, 2))
    return (1 - (2 * overlap + 1) / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)).mean()


def class_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """`two_class_dice`, as a mean."""
    return two_class_dice(logits, target) / len(logits)


LOSSES = {
    "bce": bce_loss,
    "dice": dice_loss,
    "class_bce": class_weighted_bce,
    "class_dice": class_dice_loss,
    "squared_dice": squared_dice_loss,
}


def weighted_loss(logits: Tensor, target: Tensor, weights: Mapping[str, float]) -> Tensor:
    """The sum of the named losses, each times its weight; a loss of weight 0 is not computed."""
    terms = [weight * LOSSES[name](logits, target) for name, weight in weights.items() if weight]
    return sum(terms[1:], start=terms[0])


def batch_loss(logits_NSS: Tensor, batch: Batch, weights: LossConfig, label_side: int | None) -> Tensor:
    """The weighted losses, mean over samples: logits are resized (bilinear) to the labels.

    Labels have their own sizes, or all are label_side x label_side, resized by their nearest pixels (as RSRefSeg does).
    """
    total = logits_NSS.new_zeros(())
    sizes = [mask.shape if label_side is None else (label_side, label_side) for mask in batch.masks]
    for size in dict.fromkeys(sizes):
        chosen = [position for position, other in enumerate(sizes) if other == size]
        here = logits_NSS[to_device(torch.tensor(chosen), logits_NSS.device)]
        logits = interpolate(here.unsqueeze(1), size=size, mode="bilinear", align_corners=False).squeeze(1)
        labels = torch.stack([_label(batch.masks[position], size) for position in chosen])
        truth = to_device(labels, logits.device).to(logits.dtype)  # a byte a pixel travels, not four
        total = total + len(chosen) * weighted_loss(logits, truth, weights.model_dump())
    return total / len(sizes)


def _label(mask: NDArray[np.bool_], size: tuple[int, ...]) -> Tensor:
    """A mask of any size -> bool tensor of `size`."""
    label = torch.from_numpy(mask)
    return label if mask.shape == size else interpolate(label[None, None].byte(), size, mode="nearest")[0, 0].bool()
