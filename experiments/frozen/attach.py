"""Which frozen encoders of a model are asked once only, and what their features depend on.

Features are kept in float32 where encoders compute in float32, which loses nothing, and in float16 where they compute
in bfloat16: it has three bits more than what made them. Nothing is kept of what a training changes (adapters), of what
is drawn anew each time (augmented images, dropout), and of what processes must compute together (split weights).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from rich.console import Console
from torch import nn

from benchmark.data.files import sha256
from benchmark.data.samples import Dataset
from benchmark.output.terminal import say
from experiments.frozen.feature_files import FeatureFiles, Room
from experiments.frozen.recall import AskedOnce, TextMemory
from experiments.places import WORK
from experiments.repeatable import device_name
from experiments.settings import ExperimentConfig, FeaturesConfig
from models import clip, pixels, prompted_sam, sam, sam_attention
from models.config import ClipConfig, ComputeConfig, ModelConfig, SamConfig
from models.system import System
from models.systems import precision_of

FEATURES = WORK / "features"
KEPT_AS = {"float32": torch.float32, "bfloat16": torch.float16}  # compute.precision -> how features are kept
TEXT_MEMORY = 2 * 2**30  # bytes: 14,000 texts of SigLIP, as many as RRSIS-D trains and validates on
GB = 1e9
Part = Literal["clip", "sam"]
CODE: dict[Part, tuple[ModuleType, ...]] = {
    "clip": (clip, pixels, prompted_sam),
    "sam": (sam, sam_attention, pixels, prompted_sam),
}
Tell = Callable[[str], None]


def recall_in_training(
    model: System,
    config: ExperimentConfig,
    foundation: Mapping[str, str],
    dataset: Dataset,
    settings: FeaturesConfig,
    console: Console,
    *,
    sharded: bool,
    folder: Path = FEATURES,
) -> None:
    """Let the encoders that a training leaves frozen be asked once for each image and each text.

    Args:
        foundation: SHA-256 of each file (experiments/runs.py).
        sharded: whether weights are split among processes.
    """
    frozen, tell = set(model.frozen), partial(say, console)
    if sharded and frozen:
        tell("note: weights are split among processes, so frozen encoders compute in every epoch")
        return
    kept_as = KEPT_AS[precision_of(config.model)]
    if "clip_text" in frozen and not _draws(config.model.clip.text):
        clip: Any = model.clip
        clip.recall_texts = AskedOnce(kept_as, TextMemory(TEXT_MEMORY))
    parts = frozen_parts(model)
    if parts and config.train.augment:
        tell(f"note: train.augment changes images ({', '.join(config.train.augment)}), so no features are kept")
    elif parts:
        images = count_images(dataset, "train", "val")
        recall_images(model, parts, config.model, foundation, images, settings, tell, folder)


def frozen_parts(model: System) -> list[Part]:
    """Those of CLIP and SAM whose image encoder is as pretrained, and can be asked once; SAM 2's cannot."""
    encoders: dict[Part, str] = {"clip": "clip_vision", "sam": "sam"}
    return [
        part
        for part, encoder in encoders.items()
        if encoder in model.frozen and hasattr(getattr(model, part), "recall")
    ]


def count_images(dataset: Dataset, *splits: str) -> int:
    """How many images some splits have."""
    return sum(int(dataset.split(split)["image_id"].nunique()) for split in splits)


def recall_images(
    model: nn.Module,
    parts: Collection[Part],
    config: ModelConfig,
    foundation: Mapping[str, str],
    images: int,
    settings: FeaturesConfig,
    tell: Tell,
    folder: Path = FEATURES,
) -> None:
    """Let the image encoders of `parts`, which are frozen, be asked once for each image.

    Args:
        model: has them, RSRefSeg or a baseline.
        config: `compute` says how this model runs them.
        images: how many it is about to be shown.
        tell: told in a line whether features are kept, and of a damaged or full cache.
    """
    parts = [part for part in parts if not _draws(getattr(config, part).vision)]
    if not parts:
        return
    kept_as, device = KEPT_AS[config.compute.precision], next(model.parameters()).device.type
    room = Room(folder, settings.gigabytes * GB, tell)
    # SAM's last convolution: so a float32 training has the bytes that it had before features were kept
    alone = {part: part == "clip" or device != "cpu" or kept_as != torch.float32 for part in parts}
    files = {}
    for part in parts:
        own: ClipConfig | SamConfig = getattr(config, part)
        about = {**_about(part, own, config.compute, foundation[part], device), "alone": alone[part]}
        shape = (own.grid**2, own.width) if part == "clip" else (own.grid, own.grid, own.width)
        files[part] = FeatureFiles(folder / part, about, shape, kept_as, room, tell)
    needed = sum(max(0, images - kept.count()) * kept.size for kept in files.values())
    size = sum(kept.size for kept in files.values())
    said = f"features of frozen encoders ({', '.join(parts)}), {images:,} images x {size / 1e6:.2f} MB"
    if keep := settings.gigabytes > 0 and needed <= max(0, room.left):  # what is there already takes no room
        tell(f"{said}, are kept in {folder}")
    else:
        tell(f"note: {said}, are not kept: {room.why(needed)}")
    for part, kept in files.items():
        getattr(model, part).recall = AskedOnce(kept_as, kept if keep else None, alone=alone[part])


def _about(
    part: Part, config: ClipConfig | SamConfig, compute: ComputeConfig, weights: str, device: str
) -> dict[str, Any]:
    """All that features depend on but the image."""
    code = {module.__name__: sha256(Path(str(module.__file__))) for module in CODE[part]}
    return {
        "encoder": part,
        "weights": weights,
        "config": config.model_dump(mode="json"),
        "compute": compute.model_dump(mode="json", exclude={"gradient_checkpointing"}),  # which changes no number
        "device": device_name(device, 1),
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        "code": code,
    }


def _draws(settings: Mapping[str, Any]) -> bool:
    """Whether an encoder gives other features each time it is trained with."""
    return any(value for name, value in settings.items() if "dropout" in name)
