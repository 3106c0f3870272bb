"""Images a second out of the loader, decoded when they are asked for and ahead in threads, side by side.

pytest benchmark/speed/test_loader.py --benchmark-only --benchmark-group-by=param:kind
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.loader import batches
from benchmark.data.samples import Dataset, load_dataset, make_sample, save_dataset

IMAGES = 48
KINDS: dict[str, tuple[str, int]] = {  # the field's formats at their sizes, and 16-bit TIFF
    "png 256": ("png", 256),
    "png 512": ("png", 512),
    "jpg 800": ("jpg", 800),
    "tif 512": ("tif", 512),
    "16-bit tif 512": ("16.tif", 512),
}


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    if path.name.endswith("16.tif"):
        tifffile.imwrite(path, pixels.astype(np.uint16) * 8, photometric="rgb", compression="lzw")
    else:
        Image.fromarray(pixels).save(path, quality=90)  # of JPEG; the others have none


@pytest.fixture(scope="module", params=KINDS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Noisy blobs: as hard to compress as a photograph, in the middle between the extremes."""
    suffix, side = KINDS[request.param]
    folder = tmp_path_factory.mktemp("speed")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).resize((side, side))
    rows = []
    for number in range(IMAGES):
        noise = rng.integers(-9, 10, (side, side, 3))
        image = f"images/{number}.{suffix}"
        write(folder / image, np.clip(np.asarray(blobs) + noise, 0, 255).astype(np.uint8))
        mask = np.zeros((side, side), bool)
        mask[side // 4 : side // 2, side // 4 : side // 2] = rng.random((side // 4, side // 4)) > 0.1
        split = ("train", "val", *["test"] * IMAGES)[number]
        rows.append(make_sample(str(number), str(number), image, split, "the blob", None, mask))
    save_dataset(folder, pd.DataFrame(rows), name="speed", source="drawn", licence="CC0-1.0", citation="none")
    return load_dataset(folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_read_a_split(benchmark: Callable[..., Any], dataset: Dataset, workers: int) -> None:
    read = benchmark(lambda: sum(len(batch.images) for batch in batches(dataset, "test", 16, workers=workers)))
    assert read == IMAGES - 2
