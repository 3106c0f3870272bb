"""The foundation models' weights: weights/<model>/ -> Clip and Sam, in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from transformers.initialization import no_init_weights

from models.checkpoint import fill, load_tensors
from models.clip import Clip
from models.config import ClipConfig, SamConfig
from models.errors import REMEDY
from models.sam import Sam
from models.tokens import load_tokenizer
from models.weights.files import foundation_files


def undrawn() -> AbstractContextManager[None]:
    """Inside, modules are built without drawing where they start, which takes 20 s for a billion parameters.

    For a model of which every weight is then read. One that is to be trained draws them: its seed depends on it.
    """
    return no_init_weights()


def load_clip(config: ClipConfig, folder: Path, attention: str = "sdpa") -> Clip:
    """CLIP with its pretrained weights.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    files = foundation_files(folder)
    clip = Clip(config, load_tokenizer(files["tokenizer"], config.family), attention)
    fill(clip.model, set(clip.model.state_dict()), load_tensors(files["clip"], REMEDY), files["clip"], REMEDY)
    return clip


def load_sam(config: SamConfig, folder: Path, attention: str = "sdpa") -> Sam:
    """SAM with its pretrained weights.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    file = foundation_files(folder)["sam"]
    sam = Sam(config, attention)
    fill(sam.model, set(sam.distinct_state()), load_tensors(file, REMEDY), file, REMEDY)
    return sam
