"""The losses of LAVT and RMSIN on logits d = z1 - z0, the expression's class less the background.

Softmax over two classes is a sigmoid of their difference, so cross-entropy and Dice of (z0, z1) are functions of d.
N expressions, S the side.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

BACKGROUND, FOREGROUND = 0.9, 1.1  # the classes' weights in LAVT's released code
SMOOTH = 1e-6


def class_weighted_bce(logits_NSS: Tensor, target_NSS: Tensor) -> Tensor:
    """LAVT's weighted cross-entropy: the mean over an expression's pixels, weighted by their classes (so divided by the
    sum of the weights, not by the pixels), and over expressions. Targets are 0 or 1.

    The released code divides by the weights of all that a GPU has; so the share of an expression does not depend on
    batch-mates, nor the loss on how many processes share a batch.
    """
    weight_NSS = BACKGROUND + (FOREGROUND - BACKGROUND) * target_NSS
    loss_NSS = binary_cross_entropy_with_logits(logits_NSS, target_NSS, weight_NSS, reduction="none")
    return (loss_NSS.sum((1, 2)) / weight_NSS.sum((1, 2))).mean()


def two_class_dice(logits_NSS: Tensor, target_NSS: Tensor) -> Tensor:
    """RMSIN's Dice: 1 - (2|P T| + s) / (|P| + |T| + s) of each expression and class, summed over both.

    A sum: it grows with the batch, and with it against a cross-entropy, which is a mean.
    """
    total = logits_NSS.new_zeros(())
    for logits, target in ((logits_NSS, target_NSS), (-logits_NSS, 1 - target_NSS)):
        probability = logits.sigmoid()
        overlap = (probability * target).sum((1, 2))
        total = total + (1 - (2 * overlap + SMOOTH) / (probability.sum((1, 2)) + target.sum((1, 2)) + SMOOTH)).sum()
    return total
