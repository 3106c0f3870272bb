"""The learning rate by step, as a share of `train.lr`."""

from __future__ import annotations

import math

from experiments.settings import TrainConfig


def lr_ratio(step: int, per_epoch: int, settings: TrainConfig) -> float:
    """Linear warm-up, then cosine to `final_lr_ratio` at the last step.

    torch's SequentialLR of LinearLR and CosineAnnealingLR changes over at a whole step, this at any: a warm-up of a
    quarter epoch is 47.5 of 190 steps. transformers' schedule starts at 0, this with a first step.
    """
    warm, total = settings.warmup_epochs * per_epoch, settings.epochs * per_epoch
    if step < warm:
        return (step + 1) / (warm + 1)
    share = (step - warm) / max(1.0, total - warm)
    return settings.final_lr_ratio + (1 - settings.final_lr_ratio) * (1 + math.cos(math.pi * min(1.0, share))) / 2
