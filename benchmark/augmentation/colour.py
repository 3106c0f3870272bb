"""Other light, another sensor: mild enough for every colour to keep its name.

All three bands of a pixel are moved by one number, and their distances from grey are stretched by another, so that hues
stay what they are (up to rounding, and to cutting at 0 and 255).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

BRIGHTNESS = 0.08  # of the full scale, up or down
CONTRAST = 0.12  # around mid-grey, more or less
GAMMA = 0.12  # the same
SATURATION = 0.15  # the same
BLUR_RATE, BLUR = 0.25, 0.7  # how often, and the largest radius in pixels
NOISE_RATE, NOISE = 0.25, 4.0  # how often, and the largest standard deviation in grey levels


def jitter(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(H, W, 3) in other light, of the same size."""
    brightness, contrast, gamma, saturation = rng.uniform(-1, 1, 4)
    blur, noise = (float(rng.random() < rate) * rng.random() for rate in (BLUR_RATE, NOISE_RATE))
    picture = Image.fromarray(image)
    grey = picture.convert("L")
    picture = Image.blend(grey.convert("RGB"), picture, 1 + SATURATION * saturation)
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(BLUR * blur))
        grey = picture.convert("L")
    moved = _tones(brightness, contrast, gamma)[np.asarray(grey)]
    if noise:  # one number for all bands
        moved = moved + (NOISE * noise * rng.standard_normal(moved.shape, np.float32)).astype(np.int16)
    values = np.asarray(picture) + moved[..., None]
    return values.clip(0, 255, out=values).astype(np.uint8)


def _tones(brightness: float, contrast: float, gamma: float) -> NDArray[np.int16]:
    """(256,): how far each grey level moves; each argument in [-1, 1]."""
    levels = np.arange(256) / 255
    tones = levels ** (1 + GAMMA * gamma)
    tones = (tones - 0.5) * (1 + CONTRAST * contrast) + 0.5 + BRIGHTNESS * brightness
    moves: NDArray[np.int16] = np.round(255 * (tones.clip(0, 1) - levels)).astype(np.int16)
    return moves
