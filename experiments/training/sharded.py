"""What FSDP or DeepSpeed's ZeRO has split among the ranks, and the same whole: what states on disk and results hold.

So a state is that of one process whatever wrote it, and any number of processes goes on from it, in any way.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.distributed
from accelerate import DeepSpeedPlugin, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from experiments.settings import ConfigError
from models.system import System


def ready_for_fsdp(model: System, plugin: FullyShardedDataParallelPlugin) -> None:
    """Tell accelerate what FSDP splits one by one (the encoders' layers) and what it cannot split, and torch what need
    not be said at every step."""
    plugin.transformer_cls_names_to_wrap = sorted({type(module).__name__ for module in model.layers()})
    scalars = nn.ParameterList(value for value in model.parameters() if value.ndim == 0)  # CLIP's scale, frozen
    plugin.ignored_modules = [scalars]
    # the model's logits are a view, which nothing here changes in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)


def ready_for_zero(plugin: DeepSpeedPlugin, clip_norm: float | None, groups: int) -> None:
    """Tell DeepSpeed, which clips by itself (to 1 if nothing is said), what a run says.

    Raises:
        ConfigError: the system trains its parameters in several groups, of which states here keep one.
    """
    if groups > 1:
        raise ConfigError("accelerate: DeepSpeed trains systems of one group of parameters here; take fsdp2.yaml")
    plugin.deepspeed_config["gradient_clipping"] = clip_norm or 0.0
    plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 1  # read by its statistics alone


def whole(value: Tensor) -> Tensor:
    """All of a tensor, on every rank; all of them call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(pattern: Tensor, value: Tensor) -> Tensor:
    """`value`, which every rank has whole, split as `pattern` is."""
    if not isinstance(pattern, DTensor):
        return value
    value = value.to(pattern.device)
    return distribute_tensor(value, pattern.device_mesh, pattern.placements, src_data_rank=None)


class Kept(Protocol):
    """An optimiser to save or load, as one process would have it; all ranks call it."""

    def state_dict(self) -> dict[str, Any]:
        """As torch's."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As torch's."""
        ...


class WholeOptimizer:
    """Kept, of one that may hold what FSDP has split."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        return tree_map_only(Tensor, whole, self._optimizer.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        split = {
            number: {name: value if value.ndim == 0 else like(parameters[number], value) for name, value in own.items()}
            for number, own in state["state"].items()
        }
        self._optimizer.load_state_dict({**state, "state": split})


class ZeroOptimizer:
    """Kept, of one that ZeRO 1 or 2 has taken over: it learns a part of one long vector of all that trains.

    Each parameter knows where its own part of that part lies (`_hp_mapping`, None where it has none on this rank).

    Args:
        parameters: that train, in the order in which the optimiser got them.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        self._optimizer, self._parameters = optimizer, list(parameters)

    def state_dict(self) -> dict[str, Any]:
        group = self._optimizer.param_groups[0]
        state: dict[int, dict[str, Tensor]] = {number: {} for number in range(len(self._parameters))}
        for name, flat in self._optimizer.state[group["params"][0]].items():
            for number, parameter in enumerate(self._parameters):
                state[number][name] = flat.clone() if flat.ndim == 0 else self._gathered(parameter, flat)
        return {"state": state, "param_groups": [{**group, "params": list(state)}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        group, own = self._optimizer.param_groups[0], state["state"]
        part = group["params"][0]
        group.update({**state["param_groups"][0], "params": [part]})
        for name, first in own[0].items():
            self._optimizer.state[part][name] = first.to(part.device) if first.ndim == 0 else torch.zeros_like(part)
        for number, parameter in enumerate(self._parameters):
            if (place := parameter._hp_mapping) is None:  # type: ignore[attr-defined]
                continue
            place.update_hp()  # what it learns from is the weights as they were loaded
            for name, value in own[number].items():
                if value.ndim:
                    there, here = place.lp_fragment_address, place.hp_fragment_address
                    values = value.flatten().narrow(0, there.start, there.numel)
                    self._optimizer.state[part][name].narrow(0, here.start, here.numel).copy_(values)

    def _gathered(self, parameter: nn.Parameter, flat: Tensor) -> Tensor:
        """What all ranks have of a parameter in their parts of a long vector."""
        found = torch.zeros_like(parameter, dtype=flat.dtype).flatten()
        if (place := parameter._hp_mapping) is not None:  # type: ignore[attr-defined]
            there, here = place.lp_fragment_address, place.hp_fragment_address
            found.narrow(0, there.start, there.numel).copy_(flat.narrow(0, here.start, here.numel))
        torch.distributed.all_reduce(found)
        return found.view_as(parameter)
