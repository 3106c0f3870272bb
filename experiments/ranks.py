"""Several processes that make one run: torchrun or `accelerate launch` starts them, each does its share.

A process that was started alone is the only rank, and nothing here costs it anything.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Self, TypeVar

import torch
import torch.distributed
from accelerate import PartialState
from accelerate.utils import gather_object

from experiments.config import differences
from experiments.settings import ConfigError

T = TypeVar("T")


class Ranks:
    """This process among those of its run.

    Every method but the properties is called by all ranks at the same place, and returns the same to all of them.

    Attributes:
        rank: in [0, of); the first one writes and prints.
        of: how many there are.
    """

    def __init__(self) -> None:
        """Join the others, if the environment says that there are some.

        Raises:
            ConfigError: torchrun started this process and is gone.
        """
        alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        _check_torchrun()
        # without a GPU and without being told cpu, accelerate leaves every process alone
        state = PartialState() if alone or torch.cuda.is_available() else PartialState(cpu=True)
        self.rank, self.of, self._device = state.process_index, state.num_processes, state.device

    @property
    def first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """What each rank gives, in their order; anything that can be pickled."""
        return [value] if self.of == 1 else list(gather_object([value]))

    def total(self, *values: float) -> list[float]:
        """The sum over all ranks of each number, in float64."""
        if self.of == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self._device)
        torch.distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def same(self, what: dict[str, Any]) -> None:
        """Hold that all of them are about to do the same.

        Raises:
            ConfigError: another rank has other settings, data, weights or code; the first few differences by name.
        """
        for rank, other in enumerate(self.gather(what)):
            if found := list(differences(what, other)):
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                raise ConfigError(
                    f"process {rank} of {self.of} is about to do something else than process {self.rank}: "
                    f"{'; '.join(found[:3])}{more}. Give every node the same checkout, data and weights"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the others; where one fails, they are not waited for."""
        if self.of > 1 and error[0] is None:
            torch.distributed.destroy_process_group()


def _check_torchrun() -> None:
    """Hold that torchrun, where it lets ranks find each other, still does: torch would ask one that was killed for half
    an hour. Once the ranks have joined, experiments/stopping.py looks after that."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or torch.distributed.is_initialized():
        return
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection(place, timeout=60).close()
    except OSError as error:
        raise ConfigError(f"torchrun, which started this process, does not answer ({error}); start it anew") from error
