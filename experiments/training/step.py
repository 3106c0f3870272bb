"""One train step: forward, loss, backward, clipping, optimiser, schedule.

The loop, the committed loss trace and what measures a training's cost all run this, so what is measured is what trains.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator, DistributedType
from accelerate.checkpointing import load_accelerator_state, save_accelerator_state
from accelerate.utils import SAFE_WEIGHTS_NAME
from torch import Tensor

from benchmark.data.loader import Batch
from experiments.ranks import Ranks
from experiments.settings import TrainConfig
from experiments.training.launched import splits_weights
from experiments.training.losses import batch_loss
from experiments.training.norm import over_all_ranks
from experiments.training.schedule import lr_ratio
from experiments.training.sharded import (
    Kept,
    WholeOptimizer,
    ZeroOptimizer,
    like,
    ready_for_fsdp,
    ready_for_zero,
    whole,
)
from models.checkpoint import CheckpointError, fill, load_tensors, save_tensors
from models.system import System

SCHEDULE, RANDOM = "schedule.json", "random_{}.safetensors"


class State(NamedTuple):
    """weights: that train, and statistics of norms. optimizer: as torch has it of one process."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]


class TrainStep:
    """A model with its AdamW and its schedule.

    Attributes:
        model: as the accelerator wraps it.
        trained: the parameters that train.
        optimizer: as torch has it.
        sharded: the model is split among the ranks, none of which can predict alone.
    """

    def __init__(self, model: System, settings: TrainConfig, per_epoch: int, accelerator: Accelerator) -> None:
        """per_epoch: steps of an epoch, for the schedule."""
        groups = model.parameter_groups()
        self.optimizer = torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: lr_ratio(step, per_epoch, settings)
        )
        self._settings, self._accelerator, self._ranks = settings, accelerator, Ranks()
        self._plain, self._norms = model, over_all_ranks(model) if self._ranks.of > 1 else []
        self.sharded = splits_weights(accelerator)
        self._zero = accelerator.distributed_type == DistributedType.DEEPSPEED
        if self.sharded:
            ready_for_fsdp(model, accelerator.state.fsdp_plugin)
        elif self._zero:
            ready_for_zero(accelerator.state.deepspeed_plugin, settings.clip_norm, len(groups))
        self.model, self._prepared = accelerator.prepare(model, self.optimizer)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]  # FSDP makes new ones
        whole_optimizer, zero_optimizer = WholeOptimizer(self.optimizer), ZeroOptimizer(self.optimizer, self.trained)
        self._kept: Kept = zero_optimizer if self._zero else whole_optimizer

    @property
    def lr(self) -> float:
        """The rate of the next update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def trained_state(self) -> dict[str, Tensor]:
        """System.trained_state(), whole on every rank; all of them call it."""
        return {name: whole(value) for name, value in self._plain.trained_state().items()}

    def loss(self, batch: Batch, samples: float | None = None) -> Tensor:
        """The weighted loss of a batch, a scalar with its graph.

        samples: that a step has, of which these are a share: by rank, by part, or both. It is then what they add to the
        mean over all samples, so that the shares' sum is that mean.
        """
        for norm in self._norms:
            norm.counts = not batch.spare
        shown = batch.images, batch.texts, batch.image_index
        if self._plain.side_losses:
            logits, side = self.model(*shown, [torch.from_numpy(mask) for mask in batch.masks])
        else:
            logits, side = self.model(*shown), None
        loss = batch_loss(logits, batch, self._settings.loss, self._settings.label_side)
        if side is not None:
            loss = loss + side
        here = 0 if batch.spare else len(batch.texts)
        return loss if samples in (None, here) else loss * (here / samples)

    def state(self) -> State:
        """What steps change and ranks may have split, whole: all of them call it, before any writes."""
        return State(self.trained_state(), self._kept.state_dict())

    def save(self, folder: Path, state: State) -> None:
        """Write what steps change into a folder: weights that train, statistics of norms, optimiser, schedule, and what
        random numbers come next."""
        rank, optimizer = self._ranks.rank, SimpleNamespace(state_dict=lambda: state.optimizer)
        save_accelerator_state(str(folder), [state.weights], [optimizer], [], [], rank, step=0)
        save_tensors(folder / RANDOM.format(rank), {"cpu": torch.get_rng_state()})
        if self._ranks.first:
            (folder / SCHEDULE).write_text(json.dumps(self._schedule.state_dict()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            CheckpointError: it does not fit.
        """
        state, file = self._plain.trained_state(), folder / SAFE_WEIGHTS_NAME
        try:
            weights = {
                name: like(state[name], value) if name in state else value
                for name, value in load_tensors(file, "").items()
            }
            fill(self._plain, set(state), weights, file, "")
            load_accelerator_state(str(folder), [], [self._kept], [], [], self._ranks.rank)
            self._schedule.load_state_dict(json.loads((folder / SCHEDULE).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"it does not fit this training ({error})") from error
        # accelerate passes over a file of random numbers that it cannot read; of other ranks than these there is none
        random = folder / RANDOM.format(self._ranks.rank)
        if random.is_file() and not torch.equal(torch.get_rng_state(), load_tensors(random, "")["cpu"]):
            raise CheckpointError("the state of the random numbers cannot be read")

    def update(self, loss: Tensor, *, first: bool = True, last: bool = True) -> None:
        """Learn from a loss. The last step's gradients live until here, which is what memory is measured with.

        Of a step in several parts, gradients add up from the `first` on, and the `last` learns from them all.
        """
        if first:
            self._prepared.zero_grad(set_to_none=True)
        loss = loss * self._ranks.of  # torch takes the mean of the ranks' gradients
        if self._zero:  # which clips and learns in the same breath
            self._accelerator.deepspeed_engine_wrapped.backward(loss, sync_gradients=last)
        else:
            self._accelerator.backward(loss)
        if not last:
            return
        if self._settings.clip_norm is not None and not self._zero:
            self._accelerator.clip_grad_norm_(self.trained, self._settings.clip_norm)
        self._prepared.step()
        self._schedule.step()
