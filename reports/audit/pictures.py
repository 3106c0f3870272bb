"""The pictures on the page of an audit, each as a data URI: thumbnails with a mask's outline, and the heat map."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

SIDE = 220  # pixels of a thumbnail's longer side
SMALL = 24  # pixels on the thumbnail: a smaller object gets a ring around it
OUTLINE, SHADE = (255, 176, 0), (0, 0, 0)
RAMP = ((255, 255, 255), (107, 174, 214), (8, 48, 107))  # nothing, half, the most; dark is much, for every eye
CELL = 10  # pixels of a cell of the heat map

ImageArray = NDArray[np.uint8]
MaskArray = NDArray[np.bool_]


def thumbnail(image: ImageArray, mask: MaskArray | None = None) -> str:
    """A JPEG of (H, W, 3), with the outline of a mask of the same picture, whatever size the mask says it is of."""
    small = ImageOps.contain(Image.fromarray(image), (SIDE, SIDE))
    if mask is not None and mask.any():
        small = _outlined(small, mask)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=80)
    return _uri("jpeg", stream)


def _outlined(picture: Image.Image, mask: MaskArray) -> Image.Image:
    grown = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
    inside = np.pad(np.asarray(grown) > 127, 3)
    if not inside.any():  # thinner than a pixel of the thumbnail
        inside = np.pad(np.asarray(grown) > 0, 3)
    if inside.any():
        around = ndimage.binary_dilation(inside, np.ones((3, 3)))
        farther = ndimage.binary_dilation(around, np.ones((3, 3)))
        pixels = np.asarray(picture).copy()
        pixels[(farther & ~around)[3:-3, 3:-3]] = SHADE
        pixels[(around & ~inside)[3:-3, 3:-3]] = OUTLINE
        if inside[3:-3, 3:-3].all():  # nothing outside: the frame is the outline
            pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:] = OUTLINE, OUTLINE, OUTLINE, OUTLINE
        picture = Image.fromarray(pixels)
        ys, xs = np.nonzero(inside[3:-3, 3:-3])
        if max(np.ptp(xs), np.ptp(ys)) < SMALL:
            x, y = float(xs.mean()), float(ys.mean())
            draw = ImageDraw.Draw(picture)
            for radius, colour in ((SMALL + 1, SHADE), (SMALL, OUTLINE), (SMALL - 1, OUTLINE)):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour)
    return picture


def heat_map(heat: Sequence[Sequence[float]]) -> str:
    """A PNG of rows of cells, the highest the darkest."""
    values = np.asarray(heat, np.float64)
    share = values / values.max() if values.max() > 0 else values
    stops = np.linspace(0, 1, len(RAMP))
    bands = [np.interp(share, stops, [colour[band] for colour in RAMP]) for band in range(3)]
    pixels = np.stack(bands, axis=-1).round().astype(np.uint8).repeat(CELL, axis=0).repeat(CELL, axis=1)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return _uri("png", stream)


def _uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
