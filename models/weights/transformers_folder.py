"""Foundation models in a folder of transformers' own layout: config.json, weights, and CLIP's tokenizer.json.

Transformers reads the weights, so files in several parts and older names of keys are understood, and never executes
what it reads. What it leaves open is asked here: that nothing is missing or left over, that the settings are ours
(models/weights/folder_settings.py), and that the tokenizer frames a text as its family does.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 only to catch it
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedTokenizerFast, SiglipModel
from transformers.modeling_utils import load_state_dict

from models.clip import Clip
from models.config import ClipConfig, SamConfig
from models.errors import CheckpointError
from models.sam import Sam
from models.tokens import SPECIAL_TOKENS
from models.weights.folder_settings import REMEDY, check_settings, read_json

WEIGHTS = (  # in the order in which transformers looks for them
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class _HeadlessSiglip(SiglipModel):
    """SigLIP whose pooling of images, which nothing reads, may lie in the file."""

    _keys_to_ignore_on_load_unexpected = (r"vision_model\.head\.",)


def read_clip_folder(config: ClipConfig, folder: Path) -> tuple[dict[str, Tensor], PreTrainedTokenizerFast]:
    """CLIP's weights and tokenizer.

    Returns:
        The state of `Clip(config).model`, on the CPU in the file's precision; a tokenizer whose tokenizer.json says all
        that the folder's tokenizer_config.json adds.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: a file is damaged or could execute; the folder holds another model than `config`.
    """
    tokenizer = read_tokenizer(config.family, folder)
    with torch.device("meta"):  # names and shapes, no memory
        ours = Clip(config, tokenizer).model
    check_settings(ours.config, config, folder)
    check_numbers(ours.config.text_config, config.family, tokenizer, folder)
    kind = _HeadlessSiglip if isinstance(ours, SiglipModel) else type(ours)
    return read_weights(kind, ours.config, set(ours.state_dict()), folder), tokenizer


def read_sam_folder(config: SamConfig, folder: Path) -> dict[str, Tensor]:
    """SAM's weights.

    Returns:
        The keys of `Sam(config).distinct_state()`, on the CPU in the file's precision.

    Raises:
        FileNotFoundError, CheckpointError: as `read_clip_folder`.
    """
    with torch.device("meta"):
        ours = Sam(config)
    check_settings(ours.model.config, config, folder)
    return read_weights(type(ours.model), ours.model.config, set(ours.distinct_state()), folder)


def weights_file(folder: Path) -> Path:
    """The weights that transformers takes from a folder; their index where they are in several files.

    Raises:
        FileNotFoundError: there are none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder}: holds none of {', '.join(WEIGHTS)}. {REMEDY}")


def part_names(index: Path) -> list[str]:
    """The files that an index names; they lie beside it.

    Raises:
        CheckpointError: it is no index.
    """
    parts = read_json(index).get("weight_map")
    names = sorted(set(parts.values())) if isinstance(parts, Mapping) else []
    if not names or not all(isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in names):
        raise CheckpointError(f"{index}: its weight_map does not name the files of the weights. {REMEDY}")
    return names


def read_tokenizer(family: str, folder: Path, setting: str = "clip.family") -> PreTrainedTokenizerFast:
    """The tokenizer of tokenizer.json, with the flags of tokenizer_config.json that say how it frames a text.

    `setting` is what says the family in a model's configuration. Raises as `read_clip_folder`.
    """
    file = folder / "tokenizer.json"
    read_json(file)  # the tokenizers library would raise a bare Exception that names no file
    extra = folder / "tokenizer_config.json"
    said = read_json(extra) if extra.is_file() else {}
    flags = {key: said[key] for key in ("add_bos_token", "add_eos_token") if isinstance(said.get(key), bool)}
    names = SPECIAL_TOKENS[family]
    remedy = f"Take the tokenizer of the weights, or write their family into params.yaml, models.<name>.{setting}"
    known = PreTrainedTokenizerFast(tokenizer_file=str(file)).get_vocab()
    absent = sorted(set(names.values()) - known.keys())  # they would become new ones, which no weights know
    if absent:
        raise CheckpointError(f"{file}: holds no {', '.join(absent)}, which family {family!r} needs. {remedy}")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), padding_side="right", **names, **flags)
    encoded = tokenizer("a ship", return_special_tokens_mask=True)
    marks = encoded["special_tokens_mask"]
    framed = [token for token, mark in zip(encoded.tokens(), marks, strict=True) if mark]
    wanted = [name for name in (names.get("bos_token"), names["eos_token"]) if name]
    if framed != wanted or marks[-1] != 1 or marks[0] != len(wanted) - 1:
        raise CheckpointError(
            f"{file}: a text becomes {encoded.tokens()}, and family {family!r} frames it with {wanted}. {remedy}"
        )
    return tokenizer


def check_numbers(sizes: Any, family: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The tokenizer's numbers are the text encoder's."""
    file, end = folder / "tokenizer.json", tokenizer.eos_token_id
    if len(tokenizer) > sizes.vocab_size:
        raise CheckpointError(
            f"{file}: {len(tokenizer)} tokens, and the text encoder knows {sizes.vocab_size}. "
            "Take the tokenizer that belongs to the weights"
        )
    if family == "clip" and sizes.eos_token_id != end:  # CLIP reads the sentence there
        raise CheckpointError(
            f"{file}: the end token is number {end}, and the text encoder looks for {sizes.eos_token_id}. "
            f"Write {end} into params.yaml, models.<name>.clip.text.eos_token_id"
        )


def read_weights(kind: Any, config: Any, names: set[str], folder: Path) -> dict[str, Tensor]:
    """The tensors `names` of a folder's weights, which hold these and no others but what `kind` passes over.

    Raises as `read_clip_folder`.
    """
    return {name: tensor for name, tensor in read_model(kind, config, folder).state_dict().items() if name in names}


def read_model(kind: Any, config: Any, folder: Path) -> Any:
    """A model of transformers with a folder's weights, in their precision. As `read_weights`."""
    file = weights_file(folder)
    parts = [folder / name for name in part_names(file)] if file.suffix == ".json" else [file]
    for part in parts:
        if not part.is_file():
            raise FileNotFoundError(f"{part}: not found, but {file} names it. {REMEDY}")
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(f"{folder}: holds an adapter. Merge it into the weights and save them again")
    try:
        model, said = kind.from_pretrained(
            folder,
            config=config,
            dtype=_precision(parts),
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to name them
        )
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        wish = f" ({asked[1]})" if asked else ""
        raise CheckpointError(
            f"{file}: refused, nothing in it was executed: it holds more than tensors{wish}. {REMEDY}"
        ) from None
    except (SafetensorError, EOFError, OSError, RuntimeError, ValueError) as error:
        detail = textwrap.shorten(str(error), 200, placeholder=" ...")
        raise CheckpointError(f"{file}: cannot be read ({detail}). {REMEDY}") from None
    shapes = [f"{key} {tuple(found)} for {tuple(wanted)}" for key, found, wanted in sorted(said["mismatched_keys"])]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("missing", sorted(said["missing_keys"])),
            ("unexpected", sorted(said["unexpected_keys"])),
            ("of another shape", shapes),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(f"{file}: does not fit this model: {'; '.join(faults)}. {REMEDY}")
    return model


def _precision(parts: list[Path]) -> torch.dtype:
    """The coarsest floating-point type that rounds none of the weights.

    Raises:
        ValueError: something in the files is no tensor.
    """
    kinds = set()
    for part in parts:
        for name, value in load_state_dict(part, map_location="meta").items():
            if not isinstance(value, Tensor):
                raise ValueError(f"{name} in {part.name} is a {type(value).__name__}, not a tensor")
            kinds.add(value.dtype)
    return functools.reduce(torch.promote_types, [kind for kind in kinds if kind.is_floating_point] or [torch.float32])
