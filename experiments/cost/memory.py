"""The memory of tensors, added up while they live: of real ones, or of fake ones that only have shapes and lifetimes.

torch has a MemTracker of this kind in torch.distributed._tools. It replaces methods of torch while it runs, and files
what is computed again in the backward pass under other names; what is needed here is less.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Memory:
    """Bytes alive at the moment when most are. `activations` are all that is neither of the others: what the backward
    pass needs, temporaries, and the batch."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


class LiveBytes(TorchDispatchMode):
    """Adds up the memory of every tensor that an operation makes, for as long as it lives.

    Attributes:
        peak: what was alive when most was, since the mode was made or `peak` was last set.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bytes = {"weights": 0, "gradients": 0, "optimizer": 0, "activations": 0}
        self._kinds = WeakIdKeyDictionary()  # storage -> [its kind]
        self.peak = self.now()

    def now(self) -> Memory:
        """What is alive."""
        return Memory(**self._bytes)

    def file(self, kind: str, tensors: Iterable[Any]) -> None:
        """Count these tensors as weights, gradients or optimizer from now on; what is no tensor is passed over."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                record, size = self._record(tensor), tensor.untyped_storage().nbytes()
                self._bytes[record[0]] -= size
                self._bytes[kind] += size
                record[0] = kind

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._record(leaf)
        return out

    def _record(self, tensor: Tensor) -> list[str]:
        storage = tensor.untyped_storage()
        if storage in self._kinds:
            return self._kinds[storage]
        record, size = ["activations"], storage.nbytes()
        self._kinds[storage] = record
        self._bytes["activations"] += size
        weakref.finalize(storage, self._free, record, size).atexit = False
        if sum(self._bytes.values()) > self.peak.total:
            self.peak = self.now()
        return record

    def _free(self, record: list[str], size: int) -> None:
        self._bytes[record[0]] -= size
