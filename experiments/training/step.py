"""One train step: forward, loss, backward, clipping, optimiser, schedule.

The loop, the committed loss trace and what measures a training's cost all run this, so what is measured is what trains.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import SAFE_WEIGHTS_NAME
from torch import Tensor, nn

from benchmark.data.loader import Batch
from experiments.ranks import Ranks
from experiments.settings import TrainConfig
from experiments.training.losses import batch_loss
from experiments.training.norm import over_all_ranks
from experiments.training.schedule import lr_ratio
from models.checkpoint import CheckpointError, fill, load_tensors, save_tensors
from models.rsrefseg import RSRefSeg

SCHEDULE, RANDOM = "schedule.json", "random_{}.safetensors"


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
        self._settings, self._accelerator, self._ranks = settings, accelerator, Ranks()
        self._plain = model
        self._norms = over_all_ranks(model) if self._ranks.of > 1 else []
        self.model, self._prepared = accelerator.prepare(model, self.optimizer)
        accelerator.register_save_state_pre_hook(self._trained_only)
        accelerator.register_load_state_pre_hook(self._fill)

    @property
    def lr(self) -> float:
        """The rate of the next update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def loss(self, batch: Batch) -> Tensor:
        """The weighted loss of a batch, a scalar with its graph.

        With several ranks, what this one's share adds to the mean over the samples of all, so that their sum is it.
        """
        for norm in self._norms:
            norm.counts = not batch.spare
        logits = self.model(batch.images, batch.texts, batch.image_index)
        loss = batch_loss(logits, batch, self._settings.loss, self._settings.label_side)
        if self._ranks.of == 1:
            return loss
        here = 0 if batch.spare else len(batch.texts)
        return loss * (here / self._ranks.total(here)[0])

    def save(self, folder: Path) -> None:
        """Write what steps change into a folder: weights that train, statistics of norms, optimiser, schedule, and what
        random numbers come next."""
        self._accelerator.save_state(str(folder))
        save_tensors(folder / RANDOM.format(self._ranks.rank), {"cpu": torch.get_rng_state()})
        if self._ranks.first:
            (folder / SCHEDULE).write_text(json.dumps(self._schedule.state_dict()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            CheckpointError: it does not fit.
        """
        try:
            self._accelerator.load_state(str(folder))
            self._schedule.load_state_dict(json.loads((folder / SCHEDULE).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"it does not fit this training ({error})") from error
        # accelerate passes over a file of random numbers that it cannot read; of other ranks than these there is none
        random = folder / RANDOM.format(self._ranks.rank)
        if random.is_file() and not torch.equal(torch.get_rng_state(), load_tensors(random, "")["cpu"]):
            raise CheckpointError("the state of the random numbers cannot be read")

    def _trained_only(self, models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        """What accelerate writes of the model: nothing that training does not change."""
        weights[:] = [dict(self._plain.trained_state())]

    def _fill(self, models: list[nn.Module], folder: str) -> None:
        """Read it back, instead of accelerate, which wants a whole model."""
        models.clear()
        file = Path(folder) / SAFE_WEIGHTS_NAME
        fill(self._plain, set(self._plain.trained_state()), load_tensors(file, ""), file, "")

    def update(self, loss: Tensor) -> None:
        """Learn from a loss. The last step's gradients live until here, which is what memory is measured with."""
        self._prepared.zero_grad(set_to_none=True)
        self._accelerator.backward(loss * self._ranks.of)  # torch takes the mean of the ranks' gradients
        if self._settings.clip_norm is not None:
            self._accelerator.clip_grad_norm_(self.trained, self._settings.clip_norm)
        self._prepared.step()
        self._schedule.step()
