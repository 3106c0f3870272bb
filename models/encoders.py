"""How the encoders of a system are run: precision, compilation, and what is kept for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from models.config import ComputeConfig, Encoder


def set_up(encoders: Mapping[Encoder, Any], compute: ComputeConfig) -> None:
    """Switch on gradient checkpointing and compilation where the configuration names them."""
    for name in compute.gradient_checkpointing:
        encoders[name].activation_checkpointing_enable({"use_reentrant": False})
    if compute.compile:
        for encoder in encoders.values():
            encoder.compile()


@contextmanager
def encoding(encoder: nn.Module, compute: ComputeConfig, device: torch.device) -> Iterator[None]:
    """How an encoder is run: in the configured precision, and keeping no activations where nothing in it trains."""
    half = compute.precision == "bfloat16"
    trained = any(parameter.requires_grad for parameter in encoder.parameters())
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=half),
        torch.set_grad_enabled(torch.is_grad_enabled() and trained),
    ):
        yield
