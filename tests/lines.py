"""Per-sample tables, drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd


def draw_lines(
    rng: np.random.Generator, images: int, per_image: int = 1, spread: float = 0.25, mean: float = 0.5
) -> pd.DataFrame:
    """Samples whose IoU is the same throughout an image: truth and prediction are equal in area and overlap."""
    quality = np.clip(rng.normal(mean, spread, size=images), 0, 1).repeat(per_image)
    union = np.full(images * per_image, 10_000)
    intersection = (quality * union).round().astype(int)
    image = np.arange(images).repeat(per_image)
    return pd.DataFrame(
        {
            "sample_id": [f"s{number}" for number in range(len(union))],
            "image_id": [f"i{number}" for number in image],
            "category": "disc",
            "mask_area": union,
            "predicted_area": intersection,
            "intersection": intersection,
            "union": union,
        }
    )
