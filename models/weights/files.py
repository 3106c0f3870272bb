"""What a foundation folder, weights/<model>/, holds of each kind of foundation. Nothing is imported that takes time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def foundation_files(folder: Path) -> dict[str, Path]:
    """Of CLIP and SAM (or SAM 2)."""
    return {
        "clip": folder / "clip.safetensors",
        "tokenizer": folder / "tokenizer.json",
        "sam": folder / "sam.safetensors",
    }


def swin_bert_files(folder: Path) -> dict[str, Path]:
    """Of a Swin and BERT."""
    return {
        "swin": folder / "swin.safetensors",
        "bert": folder / "bert.safetensors",
        "tokenizer": folder / "tokenizer.json",
    }


def network_files(name: str) -> Callable[[Path], dict[str, Path]]:
    """Of one network of transformers, in its own layout: config.json has its sizes."""
    return lambda folder: {
        name: folder / "model.safetensors",
        "config": folder / "config.json",
        "tokenizer": folder / "tokenizer.json",
    }
