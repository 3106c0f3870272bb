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

from models.config import ClipConfig, Rgb, SamConfig
from models.errors import CheckpointError
from models.rsrefseg2.config import Sam2Config

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
    "dynamic_multimask_via_stability",  # which of SAM 2's masks comes out: ours to say (models/rsrefseg2/sam2.py)
}
KIN = {"sam2": ("sam2_video",)}  # SAM 2 is published as a model of video, of which that of images is a part


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


def check_settings(ours: Any, config: ClipConfig | SamConfig | Sam2Config, folder: Path) -> None:
    """Compare config.json and, where there is one, preprocessor_config.json.

    Args:
        ours: transformers' configuration of our model, every setting filled in.
        config: what it was made from.
        folder: of transformers' layout.

    Raises:
        FileNotFoundError, CheckpointError: as `read_json`; or settings differ: each is named, with both values.
    """
    theirs = _theirs(ours, folder, ", or write this one's family into params.yaml, models.<name>.clip.family")
    where = "clip" if isinstance(config, ClipConfig) else "sam"
    pixels = _pixel_differences(config.pixel_mean, config.pixel_std, f"{where}.", folder)
    _refuse(_differences(ours, theirs, config) + pixels, folder)


def check_flat_settings(
    ours: Any, where: str, unread: set[str], folder: Path, pixels: tuple[Rgb, Rgb] | None = None
) -> None:
    """The same of a model whose settings have no sections.

    Args:
        ours: transformers' configuration of our model, every setting filled in.
        where: its place in a model's configuration, as in `image.swin`.
        unread: settings that change nothing of what we compute.
        folder: of transformers' layout.
        pixels: mean and deviation, of a model of images.

    Raises:
        FileNotFoundError, CheckpointError: as `check_settings`.
    """
    theirs = _theirs(ours, folder, "")
    faults = []
    for key in sorted(set(inspect.get_annotations(type(ours))) - UNREAD - unread):
        faults += _unequal(key, getattr(theirs, key), f"{where}.{key}", getattr(ours, key))
    if pixels is not None:
        faults += _pixel_differences(*pixels, f"{where.split('.')[0]}.", folder)
    _refuse(faults, folder)


def check_pixels(mean: Rgb, std: Rgb, folder: Path) -> None:
    """Compare preprocessor_config.json alone, where there is one, with a model's `pixel_mean` and `pixel_std`.

    Raises:
        CheckpointError: as `check_settings`.
    """
    _refuse(_pixel_differences(mean, std, "", folder), folder)


def _theirs(ours: Any, folder: Path, otherwise: str) -> Any:
    """What the folder's config.json says, as a configuration of our kind."""
    file = folder / "config.json"
    said = read_json(file)
    if said.get("model_type") not in (ours.model_type, *KIN.get(ours.model_type, ())):
        raise CheckpointError(
            f"{file}: model_type is {said.get('model_type')!r}, and this model is {ours.model_type!r}. "
            f"Give the folder of such a model{otherwise}"
        )
    return type(ours).from_dict(said)


def _refuse(faults: list[str], folder: Path) -> None:
    if faults:
        raise CheckpointError(
            f"{folder}: another model than params.yaml's: {'; '.join(faults)}. "
            "If the folder is meant, write its values into params.yaml under models.<name>"
        )


def _differences(ours: Any, theirs: Any, config: ClipConfig | SamConfig | Sam2Config) -> list[str]:
    where = "clip" if isinstance(config, ClipConfig) else "sam"
    faults = []
    for section, part in SECTIONS.items():
        if section in type(ours).sub_configs:
            mine, other = getattr(ours, section), getattr(theirs, section)
            faults += _of_section(section, other, f"{where}.{part}", mine)
            if "backbone_config" in type(mine).sub_configs:  # SAM 2's Hiera
                mine, other = mine.backbone_config, other.backbone_config
                faults += _of_section("backbone_config", other, f"{where}.backbone", mine)
    if isinstance(config, ClipConfig) and config.projection is not None:
        faults += _unequal("projection_dim", theirs.projection_dim, "clip.projection", config.projection)
    return faults


def _of_section(section: str, theirs: Any, where: str, ours: Any) -> list[str]:
    keys = sorted(set(inspect.get_annotations(type(ours))) - UNREAD - set(type(ours).sub_configs))
    return [
        fault
        for key in keys
        for fault in _unequal(f"{section}.{key}", getattr(theirs, key), f"{where}.{key}", getattr(ours, key))
    ]


def _pixel_differences(mean: Rgb, std: Rgb, where: str, folder: Path) -> list[str]:
    file = folder / "preprocessor_config.json"
    said = read_json(file) if file.is_file() else {}
    faults = []
    for key, name, mine in (("image_mean", "pixel_mean", mean), ("image_std", "pixel_std", std)):
        theirs = said.get(key, mine)
        if not (isinstance(theirs, list | tuple) and len(theirs) == 3 and all(map(math.isclose, theirs, mine))):
            faults += _unequal(key, theirs, f"{where}{name}", mine)
    return faults


def _unequal(name: str, found: Any, key: str, wanted: Any) -> list[str]:
    found, wanted = (list(value) if isinstance(value, tuple) else value for value in (found, wanted))
    return [] if found == wanted else [f"{name} is {found!r} and {key} is {wanted!r}"]
