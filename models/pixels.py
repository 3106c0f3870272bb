"""From images as they are to a network's input. The model owns resizing and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.transfer import to_device

Encode = Callable[[Sequence[Tensor]], Tensor]  # B images (or rows of token ids) -> (B, ...) features
Recall = Callable[[Encode, Sequence[Tensor]], Tensor]  # the same of a frozen encoder, computed or known from before


def afresh(encode: Encode, images: Sequence[Tensor]) -> Tensor:
    """The Recall that knows nothing: features are computed."""
    return encode(images)


def prepare_images(
    images: Sequence[Tensor], side: int, mean: Tensor, std: Tensor, *, through: int | None = None
) -> Tensor:
    """Resize without keeping the aspect (as RSRefSeg does) and normalise.

    Directly, bilinear and antialiased; or as the released code makes CLIP's input: first to through x through and whole
    grey levels (it has cv2 do this), then to side x side, bilinear, neither antialiased.

    Args:
        images: B uint8 tensors (3, h, w), each of any size.
        side: side of the network's square input, in pixels.
        mean, std: (3, 1, 1), of pixels in [0, 1]. Their device is where the batch goes.
        through: side of the square in between, in pixels; None: there is none.

    Returns:
        (B, 3, side, side) float.

    Raises:
        ValueError: an image is not a uint8 tensor of three channels.
    """
    prepared = []
    for position, image in enumerate(images):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(
                f"image {position} is {image.dtype} of shape {tuple(image.shape)}: give uint8 of shape (3, h, w)"
            )
        pixels = to_device(image, mean.device).to(torch.float32).unsqueeze(0)
        if through is not None:
            pixels = _resized(pixels, through, antialias=False).round()
        prepared.append(_resized(pixels / 255, side, antialias=through is None))
    return (torch.cat(prepared) - mean) / std


def _resized(pixels_13hw: Tensor, side: int, *, antialias: bool) -> Tensor:
    """(1, 3, side, side), bilinear; what has this size is left as it is."""
    if pixels_13hw.shape[2:] == (side, side):
        return pixels_13hw
    return interpolate(pixels_13hw, size=(side, side), mode="bilinear", antialias=antialias, align_corners=False)
