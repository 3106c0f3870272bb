"""One train step: forward, loss, backward, clipping, optimiser, schedule.

The loop, the committed loss trace and what measures a training's cost all run this, so what is measured is what trains.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmark.data.loader import Batch
from experiments.settings import TrainConfig
from experiments.training.losses import batch_loss
from experiments.training.schedule import lr_ratio
from models.rsrefseg import RSRefSeg


class TrainStep:
    """A model with its AdamW and its schedule.

    Attributes:
        model: as the accelerator wraps it.
        trained: the parameters that train.
        optimizer: as torch has it, with one group of parameters.
    """

    def __init__(self, model: RSRefSeg, settings: TrainConfig, per_epoch: int, accelerator: Accelerator) -> None:
        """per_epoch: steps of an epoch, for the schedule."""
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: lr_ratio(step, per_epoch, settings)
        )
        self._settings, self._accelerator = settings, accelerator
        self.model, self._prepared = accelerator.prepare(model, self.optimizer)

    @property
    def lr(self) -> float:
        """The rate of the next update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def loss(self, batch: Batch) -> Tensor:
        """The weighted loss of a batch, a scalar with its graph."""
        logits = self.model(batch.images, batch.texts, batch.image_index)
        return batch_loss(logits, batch, self._settings.loss, self._settings.label_side)

    def update(self, loss: Tensor) -> None:
        """Learn from a loss. The last step's gradients live until here, which is what memory is measured with."""
        self._prepared.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        if self._settings.clip_norm is not None:
            self._accelerator.clip_grad_norm_(self.trained, self._settings.clip_norm)
        self._prepared.step()
        self._schedule.step()
