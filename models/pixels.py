"""From images as they are to a network's input. The model owns resizing and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def prepare_images(images: Sequence[Tensor], side: int, mean: Tensor, std: Tensor) -> Tensor:
    """Resize without keeping the aspect (as RSRefSeg does) and normalise.

    Args:
        images: B uint8 tensors (3, h, w), each of any size.
        side: side of the network's square input, in pixels.
        mean, std: (3, 1, 1), of pixels in [0, 1]. Their device is where the batch goes.

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
        pixels = image.to(mean.device, torch.float32).unsqueeze(0) / 255
        if image.shape[1:] != (side, side):
            pixels = interpolate(pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        prepared.append(pixels)
    return (torch.cat(prepared) - mean) / std
