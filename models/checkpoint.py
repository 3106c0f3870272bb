"""Weights on disk: safetensors, exact about missing and unexpected keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from models.errors import CheckpointError


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, the same bytes for the same content; whoever calls sees to it that it takes its place
    whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, dict(metadata or {}))
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header.pop("__metadata__", {}).items()))  # safetensors shuffles it
    sorted_header = json.dumps(header, separators=(",", ":")).encode()
    sorted_header += b" " * (-len(sorted_header) % 8)
    file.write_bytes(len(sorted_header).to_bytes(8, "little") + sorted_header + content[8 + size :])


def load_tensors(file: Path, remedy: str) -> dict[str, Tensor]:
    """Read a safetensors file; nothing in it is ever executed.

    Raises:
        FileNotFoundError: it is not there; `remedy` says how it is made.
        CheckpointError: it is truncated or no safetensors file.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {remedy}")
    try:
        return load_file(file)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: not a whole safetensors file ({error}). {remedy}") from None


def fill(module: nn.Module, names: set[str], tensors: Mapping[str, Tensor], file: Path, remedy: str) -> None:
    """Copy `tensors` into the entries `names` of `module`'s state, which must be exactly those.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the first few are named.
    """
    state = module.state_dict()
    missing, unexpected = sorted(names - tensors.keys()), sorted(tensors.keys() - names)
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(state[name].shape)}"
        for name in sorted(names & tensors.keys())
        if tensors[name].shape != state[name].shape
    ]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if faults:
        raise CheckpointError(f"{file}: does not fit this model: {'; '.join(faults)}. {remedy}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


def read_metadata(file: Path) -> dict[str, str]:
    """What a safetensors file says about itself."""
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})
