"""Controls that need no training: what a trained model has to beat. Each has RSRefSeg's `predict`, and
`predict_logits` where it has logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.clip import Clip
from models.config import ModelConfig, Part
from models.prompter import similarity
from models.sam import Sam
from models.system import check_prompts, expressions_at_once, native_logits, slices
from models.systems import build, entry_of
from models.weights.foundation import load_clip, load_sam

Masks = list[NDArray[np.bool_]]
Logits = list[NDArray[np.float32]]


class WholeImage(nn.Module):
    """Everything is the expression's."""

    def predict(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Masks:
        """All-true masks."""
        check_prompts(images, texts, image_index)
        return [np.ones(tuple(images[index].shape[1:]), dtype=np.bool_) for index in image_index]


class ClipHeatMap(nn.Module):
    """The pretrained CLIP's own answer: where G, the sentence's logit, is above 0 (a_g > 1/2)."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def heat(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """G of every expression on its image -> (N, H, W)."""
        check_prompts(images, texts, image_index)
        features = self.clip(images, texts)
        unit_BCHW, found = normalize(features.visual_BCHW, dim=1), []
        for part in slices(len(texts), expressions_at_once((self.clip.config.width, self.clip.config.grid))):
            sentence_N1C = features.sentence_NC[part, None]
            found.append(similarity(features, unit_BCHW[list(image_index[part])], sentence_N1C).squeeze(1))
        return torch.cat(found)

    @torch.no_grad()
    def predict_logits(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Logits:
        """The heat map, resized."""
        return native_logits(self.heat(images, texts, image_index), [images[index] for index in image_index])

    def predict(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Masks:
        """Where `predict_logits` is above 0."""
        return [logits > 0 for logits in self.predict_logits(images, texts, image_index)]


class HeatMapPoint(ClipHeatMap):
    """The pretrained SAM, clicked once where the pretrained CLIP's heat map peaks."""

    def __init__(self, clip: Clip, sam: Sam) -> None:
        super().__init__(clip)
        self.sam = sam

    @torch.no_grad()
    def predict_logits(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Logits:
        """SAM's mask logits of the point, resized."""
        heat_NHW = self.heat(images, texts, image_index)
        height, width = heat_NHW.shape[1:]
        peak_N = heat_NHW.flatten(1).argmax(1)
        cells_N2 = torch.stack([peak_N % width + 0.5, peak_N // width + 0.5], dim=-1)
        cell_2 = self.sam.config.image_side / torch.tensor([width, height], device=cells_N2.device)
        points_N2 = cells_N2 * cell_2 - 0.5  # pixel k covers [k, k + 1): SAM adds the half itself
        sparse = self.sam.embed_points(points_N2.unsqueeze(1), torch.ones(len(texts), 1, device=points_N2.device))
        image_BChw, config = self.sam.encode(images), self.sam.config
        logits = [
            self.sam.decode(image_BChw[list(image_index[part])], sparse[part], self.sam.no_mask())[0]
            for part in slices(len(texts), expressions_at_once((config.width, config.grid)))
        ]
        return native_logits(torch.cat(logits), [images[index] for index in image_index])


def build_control(name: str, config: Part, folder: Path) -> nn.Module:
    """A training-free baseline, with the foundation weights in `folder` that it needs, ready to predict.

    Args:
        name: one of those that models/systems.py has for the configuration's system.
        config: of the system whose foundation it is.

    Raises:
        ValueError: the system has no such baseline.
        FileNotFoundError, CheckpointError: as `load_clip`.
    """
    own = entry_of(config).controls
    if name not in own:
        raise ValueError(f"unknown control {name!r}; the controls are {', '.join(own) or 'none'}")
    if isinstance(config, ModelConfig):
        return _of_clip_and_sam(name, config, folder).eval()
    network = build(config, folder)
    if name == "zero_shot_semantic":
        network.reading = "semantic"  # type: ignore[assignment]  # of SAM 3, which alone has this baseline
    return network


def _of_clip_and_sam(name: str, config: ModelConfig, folder: Path) -> nn.Module:
    if name == "whole_image":
        return WholeImage()
    if name == "clip_heat_map":
        return ClipHeatMap(load_clip(config.clip, folder))
    return HeatMapPoint(load_clip(config.clip, folder), load_sam(config.sam, folder))


def settings_of_controls(config: Part) -> dict[str, Any]:
    """What of a model's configuration its training-free baselines depend on, as JSON types."""
    parts = {"clip", "sam"} if isinstance(config, ModelConfig) else None
    return config.model_dump(mode="json", by_alias=True, include=parts)
