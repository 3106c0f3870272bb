"""An image whose size differs a little from its annotation's, brought to the annotation's size.

RRSIS-D has such images (RMSIN#12 and #27 name 800 x 801, 802 and 787 pixels, width x height) beside masks of 800 x 800.
The rule: the image is **resized**, stretched to the mask's height and width; the mask is never touched.

Why not cropped or padded: no public text says how the masks came to their size, so the image could as well be cut or
padded at the bottom. But every released code for RRSIS-D that could be read lays image and mask over each other by
stretching (LAVT, RMSIN, FIANet: both to 480 x 480; RSRefSeg 2: the mask to its image), so this keeps results
comparable; nothing is cut off and no pixel is made up; and of the 800 x 801 image the rules differ by one pixel at
most, of the 800 x 787 ones by 13 at the bottom. The audit measures for every such image whether the mask's contour lies
on edges of the stretched image or of the one that is cut or padded, so that who has the files can check the choice.

An image that differs by more than LIMIT in height or width is another image, and refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, PositiveInt

LIMIT = 0.05  # of the annotation's height, and of its width
Size = tuple[PositiveInt, PositiveInt]  # height, width


class Fit(BaseModel):
    """An image that is resized: ``found`` is the file's height and width, ``wanted`` its annotation's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    found: Size
    wanted: Size

    def text(self) -> str:
        """In words, height x width."""
        return f"{self.found[0]}x{self.found[1]} -> {self.wanted[0]}x{self.wanted[1]}"


def is_near(found: Size, wanted: Size) -> bool:
    """Whether an image of height and width ``found`` may be brought to ``wanted``."""
    return all(abs(here - there) <= LIMIT * there for here, there in zip(found, wanted, strict=True))


def fitted(pixels: NDArray[np.uint8], wanted: Size) -> NDArray[np.uint8]:
    """(H, W, 3) -> (height, width, 3), stretched with bilinear interpolation; itself if it has that size."""
    height, width = wanted
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def cut_or_padded(pixels: NDArray[np.uint8], wanted: Size) -> NDArray[np.uint8]:
    """The rule that the audit compares with: (height, width, 3), cut, or padded with 0, at the right and the bottom."""
    out = np.zeros((*wanted, 3), np.uint8)
    part = pixels[: wanted[0], : wanted[1]]
    out[: part.shape[0], : part.shape[1]] = part
    return out
