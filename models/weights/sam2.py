"""SAM 2's weights: a folder of transformers' layout -> weights/<model>/ -> Sam2."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint import fill, load_tensors
from models.errors import REMEDY
from models.rsrefseg2.config import Sam2Config
from models.rsrefseg2.sam2 import Sam2
from models.weights.files import foundation_files
from models.weights.folder_settings import check_settings
from models.weights.transformers_folder import read_weights


def read_sam2_folder(config: Sam2Config, folder: Path) -> dict[str, Tensor]:
    """SAM 2's weights, of a model of images or of video, whose memory is passed over.

    Returns:
        The keys of `Sam2(config).distinct_state()`, on the CPU in the file's precision.

    Raises:
        FileNotFoundError, CheckpointError: as `models.weights.transformers_folder.read_clip_folder`.
    """
    with torch.device("meta"):
        ours = Sam2(config)
    check_settings(ours.model.config, config, folder)
    return read_weights(type(ours.model), ours.model.config, set(ours.distinct_state()), folder)


def load_sam2(config: Sam2Config, folder: Path, attention: str = "sdpa") -> Sam2:
    """SAM 2 with its pretrained weights, of a foundation folder.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    file = foundation_files(folder)["sam"]
    sam = Sam2(config, attention)
    fill(sam.model, set(sam.distinct_state()), load_tensors(file, REMEDY), file, REMEDY)
    return sam
