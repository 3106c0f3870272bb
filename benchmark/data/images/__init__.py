"""The one reader that decides what an image is, for every command; the table is in docs/datasets.md."""

from benchmark.data.images.decoding import tiff_facts
from benchmark.data.images.labels import LabelImage, read_labels
from benchmark.data.images.masks import read_exact_mask, read_mask
from benchmark.data.images.raster import MAX_PIXELS
from benchmark.data.images.rules import Picture, read_image, read_picture

__all__ = [
    "MAX_PIXELS", "LabelImage", "Picture", "read_exact_mask", "read_image", "read_labels", "read_mask", "read_picture",
    "tiff_facts",
]  # fmt: skip
