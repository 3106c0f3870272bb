"""Images and masks of a split, ready for a model: the loader that decodes ahead in threads, against a plain loop with
Pillow. The limit is the decoder itself, on files that are in memory, in as many threads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmark.data.loader import batches
from benchmark.data.rle import decode_mask
from benchmark.data.samples import Dataset, load_dataset, make_sample, save_dataset
from experiments.config import load_params
from experiments.speed.limits import disk_rate
from experiments.speed.pairs import Pair, in_turns, seconds

IMAGES, BATCH, TURNS = 96, 16, 5
KINDS: dict[str, tuple[int, Callable[[bytes], Any]]] = {  # the field's formats at their sizes, and who decodes them
    "png": (512, imagecodecs.png_decode),
    "jpg": (800, imagecodecs.jpeg8_decode),
    "tif": (512, imagecodecs.tiff_decode),
}


def measure() -> list[Pair]:
    """A split of each kind of file."""
    pairs = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            pairs.append(_pair(Path(folder), kind))
    return pairs


def _pair(folder: Path, kind: str) -> Pair:
    workers, (side, decode) = load_params().loader.workers, KINDS[kind]
    dataset = _write(folder, kind, side)
    reference, took, ratio = in_turns(lambda: _plainly(dataset), lambda: _ours(dataset, workers), TURNS)
    contents = [file.read_bytes() for file in sorted((folder / "images").iterdir())][:IMAGES]
    with ThreadPoolExecutor(workers) as pool:
        limit = min(seconds(lambda: list(pool.map(decode, contents))) for _ in range(TURNS))
    mb, disk = sum(map(len, contents)) / 1e6, disk_rate(folder) / 1e6
    return Pair(
        path="loading",
        case=f"{kind} of {side} px, {IMAGES} images",
        reference=reference,
        ours=took,
        ratio=ratio,
        share=min(1.0, limit / took),
        limit=f"the decoder alone, {workers} threads",
        note=f"{IMAGES / took:,.0f} images/s, {mb / took:,.0f} MB/s; the disk reads {disk:,.0f} MB/s",
    )


def _ours(dataset: Dataset, workers: int) -> None:
    for _ in batches(dataset, "test", BATCH, workers=workers):
        pass


def _plainly(dataset: Dataset) -> None:
    for row in dataset.split("test").to_dict("records"):
        with Image.open(dataset.images / row["image"]) as image:
            torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
        decode_mask(row["mask"], row["height"], row["width"])


def _write(folder: Path, kind: str, side: int) -> Dataset:
    """Noisy blobs: as hard to compress as a photograph, in the middle between the extremes."""
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).resize((side, side))
    rows = []
    for number in range(IMAGES + 2):
        noise = rng.integers(-9, 10, (side, side, 3))
        image = f"images/{number:03}.{kind}"
        pixels = np.clip(np.asarray(blobs) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / image, quality=90)  # of JPEG; the others have none
        mask = np.zeros((side, side), bool)
        mask[side // 4 : side // 2, side // 4 : side // 2] = rng.random((side // 4, side // 4)) > 0.1
        split = ("train", "val", *["test"] * IMAGES)[number]
        rows.append(make_sample(str(number), str(number), image, split, "the blob", None, mask))
    save_dataset(folder, pd.DataFrame(rows), name="speed", source="drawn", licence="CC0-1.0", citation="none")
    return load_dataset(folder)
