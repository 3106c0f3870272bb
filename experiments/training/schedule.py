"""The learning rate by step, as a share of `train.lr`: a linear warm-up, then half a cosine to `final_lr_ratio`, or a
power of the share that is left.

Warm-up. From `warmup_start` at its first step to 1 at its last, as released (mmengine's LinearLR by iterations); or,
`one_step`, by equal amounts, from one above 0 at its first step to 1 at the first step after it.

Cosine. `per_step` reaches its foot at the end of training. `per_epoch`, as released (mmengine's CosineAnnealingLR with
T_max = epochs, which begins after the warm-up), changes between epochs only and is cut off before its foot: at the
released 200 epochs with 5 of warm-up the last one trains at 0.0032 of the rate, not at 0.001.

Half a cosine is `cosine_period` times as long as these say; above 1 it is cut off before its foot (RSRefSeg 2).

Polynomial (LAVT). (1 - share of the steps after the warm-up) ** `polynomial`, down to `final_lr_ratio`.

torch's SequentialLR of LinearLR and CosineAnnealingLR changes over at a whole step, this at any: a warm-up of a quarter
epoch is 47.5 of 190 steps. transformers' schedule starts at 0.
"""

from __future__ import annotations

import math

from experiments.settings import TrainConfig


def lr_ratio(step: int, per_epoch: int, settings: TrainConfig) -> float:
    """The rate of a step (from 0) in a training with so many steps an epoch, as a share of `lr`."""
    warm, total = settings.warmup_epochs * per_epoch, settings.epochs * per_epoch
    if step < warm:
        if settings.warmup_start == "one_step":
            return (step + 1) / (warm + 1)
        return min(1.0, settings.warmup_start + (1 - settings.warmup_start) * step / max(1.0, warm - 1))
    if settings.polynomial is not None:
        left = 1 - (step - warm) / max(1.0, total - warm)
        return settings.final_lr_ratio + (1 - settings.final_lr_ratio) * max(0.0, left) ** settings.polynomial
    if settings.cosine == "per_step":
        share = (step - warm) / max(1.0, total - warm)
    else:
        share = max(0.0, step // per_epoch - settings.warmup_epochs) / settings.epochs
    share /= settings.cosine_period
    return settings.final_lr_ratio + (1 - settings.final_lr_ratio) * (1 + math.cos(math.pi * min(1.0, share))) / 2
