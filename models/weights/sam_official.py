"""Official SAM checkpoints (sam_vit_b_01ec64.pth and its like) in the layout of transformers' SamModel.

The official code itself says whether a file is that SAM: the file's tensors go into its modules, strictly, and only
then get their other names. No number is changed. What is unusual:

* The positional frequencies (`pe_layer`) belong to the prompt encoder officially, to the whole model in transformers.
* An official MLP numbers its layers; in transformers the first is `proj_in`, the last `proj_out`, and the numbers of
  those between start again at 0.
* `neck`, `mask_downscaling` and `output_upscaling` are sequences officially: their activations take a number and have
  no weights. `output_upscaling` is convolution (0), norm (1), activation, convolution (3), activation.
* `point_embeddings` are: off the object, on it, a box's first corner, its last. The order is the same in both codes,
  and so is `not_a_point_embed`, which both append to points that come without a box.
* Official pixels are in [0, 255] and ours in [0, 1]: 123.675 = 255 x 0.485, and so on; the two agree.
* The norms of the decoder's layers have eps 1e-5 officially and 1e-6 in transformers' configuration: no weight, so the
  configuration decides (`mask_decoder.layer_norm_eps`). On random weights that moves masks and scores by some 1e-5.
"""

from __future__ import annotations

import re
import textwrap
import zipfile
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 only to catch it

import torch
from segment_anything.modeling import (  # type: ignore[import-untyped]
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)
from segment_anything.modeling import Sam as OfficialSam
from torch import Tensor, nn

from models.config import SamConfig, SettingError
from models.errors import CheckpointError
from models.sam import Sam

PUBLISHED = {  # file -> name, width and layers of its image encoder (build_sam.py)
    "sam_vit_b_01ec64.pth": ("ViT-B", 768, 12),
    "sam_vit_l_0b3195.pth": ("ViT-L", 1024, 24),
    "sam_vit_h_4b8939.pth": ("ViT-H", 1280, 32),
}
_REMEDY = f"Get {' or '.join(PUBLISHED)} from github.com/facebookresearch/segment-anything (Model Checkpoints)"

# (official, transformers) beginnings of keys; * is a number. The first that fits counts; what fits none keeps its name.
_RULES = (
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.*.norm", "vision_encoder.layers.*.layer_norm"),
    ("image_encoder.blocks.", "vision_encoder.layers."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.", "vision_encoder."),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.transformer.layers.*.norm", "mask_decoder.transformer.layers.*.layer_norm"),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
)


def read_official_sam(config: SamConfig, file: Path) -> dict[str, Tensor]:
    """The weights of an official checkpoint, with the keys of `Sam.distinct_state()`.

    The file is read whole, not mapped: at no time is there more than one copy, and what is returned outlives the file.
    Nothing in it is executed.

    Args:
        config: the SAM that the file should hold.
        file: what `torch.save` made of an official state.

    Returns:
        Tensors on the CPU, each in the floating-point type it is stored in.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointError: it is truncated, damaged or no torch file; it holds more than tensors; it is another SAM.
        SettingError: `config` is a SAM that the official code cannot be.
    """
    with torch.device("meta"):  # names and shapes, no memory
        ours, official = Sam(config).distinct_state(), official_sam(config)
    names = transformers_names(official.state_dict())
    _check_expressible(official.state_dict(), ours, names)
    stored = _read_tensors(file)
    _check_size(stored, official.state_dict(), file)
    try:
        official.load_state_dict(stored, strict=True, assign=True)
    except RuntimeError as error:
        faults = [textwrap.shorten(line, 200, placeholder=" ...") for line in str(error).splitlines()[1:4]]
        raise CheckpointError(
            f"{file}: not the official SAM of this configuration: {' '.join(faults)} {_REMEDY}"
        ) from None
    return {names[key]: tensor for key, tensor in official.state_dict().items()}


def official_sam(config: SamConfig) -> nn.Module:
    """The official model at any size, in evaluation mode, with weights to be filled; `config` as our own Sam takes it.

    At the published sizes this is what segment_anything.sam_model_registry builds.
    """
    with torch.device("meta"):  # for the settings that are left to transformers' defaults
        sizes = Sam(config).model.config
    vision, prompt, decoder = sizes.vision_config, sizes.prompt_encoder_config, sizes.mask_decoder_config
    grid = prompt.image_size // prompt.patch_size
    sam = OfficialSam(
        image_encoder=ImageEncoderViT(
            img_size=vision.image_size,
            patch_size=vision.patch_size,
            in_chans=vision.num_channels,
            embed_dim=vision.hidden_size,
            depth=vision.num_hidden_layers,
            num_heads=vision.num_attention_heads,
            mlp_ratio=(vision.mlp_dim + 0.5) / vision.hidden_size,  # their product is rounded down
            out_chans=vision.output_channels,
            qkv_bias=vision.qkv_bias,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_abs_pos=vision.use_abs_pos,
            use_rel_pos=vision.use_rel_pos,
            window_size=vision.window_size,
            global_attn_indexes=tuple(vision.global_attn_indexes),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=prompt.hidden_size,
            image_embedding_size=(grid, grid),
            input_image_size=(prompt.image_size, prompt.image_size),
            mask_in_chans=prompt.mask_input_channels,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=decoder.num_multimask_outputs,
            transformer=TwoWayTransformer(
                depth=decoder.num_hidden_layers,
                embedding_dim=decoder.hidden_size,
                mlp_dim=decoder.mlp_dim,
                num_heads=decoder.num_attention_heads,
                attention_downsample_rate=decoder.attention_downsample_rate,
            ),
            transformer_dim=decoder.hidden_size,
            iou_head_depth=decoder.iou_head_depth,
            iou_head_hidden_dim=decoder.iou_head_hidden_dim,
        ),
        pixel_mean=[255 * value for value in config.pixel_mean],
        pixel_std=[255 * value for value in config.pixel_std],
    )
    return sam.eval()


def transformers_names(keys: Collection[str]) -> dict[str, str]:
    """Official key -> our key, for all keys of an official state."""
    head = "mask_decoder.iou_prediction_head"
    depth = sum(key.startswith(f"{head}.layers.") and key.endswith(".weight") for key in keys)
    rules = [*_mlp_rules("mask_decoder.output_hypernetworks_mlps.*", 3), *_mlp_rules(head, depth), *_RULES]
    patterns = [("^" + re.escape(old).replace(r"\*", r"(\d+)"), new.replace("*", r"\1")) for old, new in rules]
    return {key: _renamed(key, patterns) for key in keys}


def _mlp_rules(prefix: str, layers: int) -> list[tuple[str, str]]:
    names = ["proj_in", *(f"layers.{number}" for number in range(layers - 2)), "proj_out"]
    return [(f"{prefix}.layers.{number}.", f"{prefix}.{name}.") for number, name in enumerate(names)]


def _renamed(key: str, patterns: Iterable[tuple[str, str]]) -> str:
    for old, new in patterns:
        if re.match(old, key):
            return re.sub(old, new, key)
    return key


def _check_expressible(official: Mapping[str, Tensor], ours: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Refuse a configuration whose weights no official file could fill."""
    theirs = {(names[key], tuple(tensor.shape)) for key, tensor in official.items()}
    faults = sorted(theirs ^ {(key, tuple(tensor.shape)) for key, tensor in ours.items()})
    if faults:
        key, shape = faults[0]
        raise SettingError(
            f"sam: the official code has no such SAM ({key} of shape {shape}); take the settings of the zoo"
        )


def _read_tensors(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found. {_REMEDY}")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
        if damaged is not None:
            raise CheckpointError(f"{file}: damaged: {damaged} in it has another checksum. {_REMEDY}")
        stored = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251 weights, and nothing executed
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        wish = f" ({asked[1]})" if asked else ""
        raise CheckpointError(
            f"{file}: refused, nothing in it was executed: it holds more than tensors{wish}. {_REMEDY}"
        ) from None
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        detail = textwrap.shorten(str(error) or type(error).__name__, 120, placeholder=" ...")
        raise CheckpointError(f"{file}: not a whole file of torch.save ({detail}). {_REMEDY}") from None
    if not isinstance(stored, Mapping):
        raise CheckpointError(f"{file}: holds one {type(stored).__name__}, not the tensors of a state. {_REMEDY}")
    for key, value in stored.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise CheckpointError(f"{file}: {key!r} is {kind}, not a tensor of floating-point weights. {_REMEDY}")
    return dict(stored)


def _check_size(stored: Mapping[str, Tensor], official: Mapping[str, Tensor], file: Path) -> None:
    """Say which size the file is, where that is what is wrong: strict loading would list hundreds of shapes."""
    found, wanted = _size(stored), _size(official)
    if 0 not in found and found != wanted:
        right = [name for name, size in PUBLISHED.items() if size[1:] == wanted]
        remedy = f"Give {right[0]}" if right else "Give the file of that size"
        raise CheckpointError(f"{file}: holds {_named(found)}; this model needs {_named(wanted)}. {remedy}")


def _size(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Width and layers of the image encoder, 0 where the state does not say."""
    width = state.get("image_encoder.patch_embed.proj.bias", torch.empty(0)).numel()
    return width, len({key.split(".")[2] for key in state if key.startswith("image_encoder.blocks.")})


def _named(size: tuple[int, int]) -> str:
    names = [f"SAM {name}" for name, *known in PUBLISHED.values() if tuple(known) == size]
    return f"{names[0] if names else 'a SAM'} (width {size[0]}, {size[1]} layers)"
