"""The configurations of the zero-shot networks: what of them is ours to say. The rest is in their own config.json,
beside the weights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.config import Part, Rgb


class ZeroShotConfig(Part):
    """What both have.

    pixel_mean, pixel_std: of pixels in [0, 1]; what preprocessor_config.json says otherwise is refused.
    """

    pixel_mean: Rgb
    pixel_std: Rgb


class ClipSegConfig(ZeroShotConfig):
    """CLIPSeg. side: of its square input, in pixels."""

    side: Annotated[int, Field(ge=1)]


class Sam3Config(ZeroShotConfig):
    """SAM 3, whose input has the side that it was trained with."""
