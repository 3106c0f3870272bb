"""From the CPU's memory to where a model lies."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on `device`, as it is: what comes from the CPU does not wait for what a GPU still computes.

    A GPU reads only pinned memory beside its work; for any other, this thread would wait until all that was asked for
    before is done, and the GPU then for this thread. Pinned here rather than where images are decoded: a thread of the
    loader knows no rank, and would do it on the first GPU.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
