"""The foundation models' weights: weights/<model>/ -> Clip and Sam, in float32.

The modules are built without drawing the values that the files replace: for a billion parameters that takes 20 s.
"""

from __future__ import annotations

from pathlib import Path

from transformers.initialization import no_init_weights

from models.checkpoint import REMEDY, fill, load_tensors
from models.clip import Clip
from models.config import ClipConfig, SamConfig
from models.sam import Sam
from models.tokens import load_tokenizer


def foundation_files(folder: Path) -> dict[str, Path]:
    """What a foundation folder holds."""
    return {
        "clip": folder / "clip.safetensors",
        "tokenizer": folder / "tokenizer.json",
        "sam": folder / "sam.safetensors",
    }


def load_clip(config: ClipConfig, folder: Path, attention: str = "sdpa") -> Clip:
    """CLIP with its pretrained weights.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    files = foundation_files(folder)
    tokenizer = load_tokenizer(files["tokenizer"], config.family)
    with no_init_weights():
        clip = Clip(config, tokenizer, attention)
    fill(clip.model, set(clip.model.state_dict()), load_tensors(files["clip"], REMEDY), files["clip"], REMEDY)
    return clip


def load_sam(config: SamConfig, folder: Path, attention: str = "sdpa") -> Sam:
    """SAM with its pretrained weights.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    file = foundation_files(folder)["sam"]
    with no_init_weights():
        sam = Sam(config, attention)
    fill(sam.model, set(sam.distinct_state()), load_tensors(file, REMEDY), file, REMEDY)
    return sam
