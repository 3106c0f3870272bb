"""What transformers' own settings files of a foundation model say, beside our configuration of it.

The same weights fit a model with another activation, other windows or other pixels, and would silently compute
something else: every setting that changes what is computed must be the same on both sides.
"""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

from models.config import ClipConfig, SamConfig
from models.errors import CheckpointError

REMEDY = "Get the folder again, or write it with transformers' save_pretrained"
SECTIONS = {  # of transformers' configuration, and what holds the same settings here
    "vision_config": "vision",
    "text_config": "text",
    "prompt_encoder_config": "prompt_encoder",
    "mask_decoder_config": "mask_decoder",
}
UNREAD = {  # settings that change nothing of what we compute
    *("bos_token_id", "eos_token_id", "pad_token_id"),  # the tokenizer says them
    *("initializer_range", "initializer_factor"),
    "vision_use_head",  # SigLIP's pooling of images
    "projection_dim",  # CLIP's projections have the width that stands at the top of the configuration
    "mlp_ratio",  # SAM's mlp_dim is compared
}


def read_json(file: Path) -> dict[str, Any]:
    """The settings in a file.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointError: it is truncated, or holds no settings.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {REMEDY}")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not whole JSON ({error}). {REMEDY}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: holds a {type(data).__name__} where settings are needed. {REMEDY}")
    return data


def check_settings(ours: Any, config: ClipConfig | SamConfig, folder: Path) -> None:
    """Compare config.json and, where there is one, preprocessor_config.json.

    Args:
        ours: transformers' configuration of our model, every setting filled in.
        config: what it was made from.
        folder: of transformers' layout.

    Raises:
        FileNotFoundError, CheckpointError: as `read_json`; or settings differ: each is named, with both values.
    """
    file = folder / "config.json"
    said = read_json(file)
    if said.get("model_type") != ours.model_type:
        raise CheckpointError(
            f"{file}: model_type is {said.get('model_type')!r}, and this model is {ours.model_type!r}. "
            "Give the folder of such a model, or write this one's family into params.yaml, models.<name>.clip.family"
        )
    theirs = type(ours).from_dict(said)
    faults = _differences(ours, theirs, config) + _pixel_differences(config, folder)
    if faults:
        raise CheckpointError(
            f"{folder}: another model than params.yaml's: {'; '.join(faults)}. "
            "If the folder is meant, write its values into params.yaml under models.<name>"
        )


def _differences(ours: Any, theirs: Any, config: ClipConfig | SamConfig) -> list[str]:
    where = "clip" if isinstance(config, ClipConfig) else "sam"
    faults = []
    for section, part in SECTIONS.items():
        if section in type(ours).sub_configs:
            mine, other = getattr(ours, section), getattr(theirs, section)
            for key in sorted(set(inspect.get_annotations(type(mine))) - UNREAD):
                faults += _unequal(f"{section}.{key}", getattr(other, key), f"{where}.{part}.{key}", getattr(mine, key))
    if isinstance(config, ClipConfig) and config.projection is not None:
        faults += _unequal("projection_dim", theirs.projection_dim, "clip.projection", config.projection)
    return faults


def _pixel_differences(config: ClipConfig | SamConfig, folder: Path) -> list[str]:
    where = "clip" if isinstance(config, ClipConfig) else "sam"
    file = folder / "preprocessor_config.json"
    said = read_json(file) if file.is_file() else {}
    faults = []
    for key, name in (("image_mean", "pixel_mean"), ("image_std", "pixel_std")):
        mine = getattr(config, name)
        theirs = said.get(key, mine)
        if not (isinstance(theirs, list | tuple) and len(theirs) == 3 and all(map(math.isclose, theirs, mine))):
            faults += _unequal(key, theirs, f"{where}.{name}", mine)
    return faults


def _unequal(name: str, found: Any, key: str, wanted: Any) -> list[str]:
    found, wanted = (list(value) if isinstance(value, tuple) else value for value in (found, wanted))
    return [] if found == wanted else [f"{name} is {found!r} and {key} is {wanted!r}"]
