"""CLIPSeg and SAM 3 as they are published, as plain data."""

from __future__ import annotations

from typing import Any

Plain = dict[str, Any]

CLIPSEG: dict[str, Plain] = {
    "clipseg": {  # CIDAS/clipseg-rd64-refined; as its authors show it, github.com/timojl/clipseg, Quickstart.ipynb
        "side": 352,  # not the vision tower's 224: position embeddings are resized
        "pixel_mean": (0.485, 0.456, 0.406),
        "pixel_std": (0.229, 0.224, 0.225),
    }
}
SAM3: dict[str, Plain] = {
    # facebook/sam3; transformers' image_processing_sam3.py
    "sam3": {"pixel_mean": (0.5, 0.5, 0.5), "pixel_std": (0.5, 0.5, 0.5)},
}
