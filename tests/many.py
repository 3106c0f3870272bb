"""A big fake dataset with a known number of each fault, to measure the audit on.

    python -m tests.many FOLDER --samples 50000
    python -m tests.many FOLDER --samples 50000 --per-image 1

Images are put together from strips of noisy fields that are compressed once, so that drawing costs little more than
writing, while every file is different and as slow to decode as a photograph. PLANTED says what is wrong with them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmark.audit.audit import Audit
from benchmark.data.samples import MANIFEST, SPLITS, Dataset, Manifest, load_dataset, make_sample, samples_sha256
from benchmark.data.validation import SCHEMA, TABLE

SIDE, FIELDS, STRIP = 512, 12, 32  # pixels, noisy fields, rows of a strip
SHARES = {"train": 0.5, "val": 0.2, "test": 0.3}  # of the images
PLANTED = {  # finding -> cases
    "unreadable images": 3,
    "images of another size": 2,
    "rows of another size": 2,
    "images resized to their masks": 0,
    "images of some of their bands": 0,
    "copied images": 5,
    "images in two splits": 10,  # the five copies, and five saved anew, brighter, as JPEG
    "turned images": 0,
    "masks beside their objects": 0,
    "categories of one image": 0,
    "categories that include others": 0,
    "repeated expressions": 6,
    "repeated, masks contradict": 4,
    "positions that contradict": 7,
    "ragged masks": 4,
    "empty masks": 3,
    "full masks": 2,
    "boxes of the table": 3,
    "boxes as published": 0,  # none are published
}
Mask = NDArray[np.bool_]


def make_many(folder: Path, samples: int, per_image: int = 3, seed: int = 0) -> Dataset:
    """Draw the dataset into a new folder: `samples` samples and 6 more, `per_image` of each of its images."""
    count = samples // per_image
    if count < 120:
        raise ValueError(
            f"samples is {samples}: {count} images are too few for what is planted; give 120 images or more"
        )
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    bounds = np.round(np.cumsum(list(SHARES.values())) * count).astype(int)
    names = [f"images/{number:06d}.png" for number in range(count)]
    splits = [SPLITS[int(np.searchsorted(bounds, number, side="right"))] for number in range(count)]
    strips = _strips(rng)
    picks = rng.integers(len(strips), size=(count, SIDE // STRIP))
    late = list(range(bounds[0], count))  # faulty images are of val and test, their originals of train
    for k in range(5):
        picks[late[k]] = picks[k]
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(lambda k: (folder / names[k]).write_bytes(_png([strips[p] for p in picks[k]], SIDE)), range(count))
        )
    for k in range(5, 10):
        names[late[k]] = names[late[k]].replace(".png", ".jpg")
        (folder / names[late[k]]).unlink(missing_ok=True)
        (folder / names[late[k]].replace(".jpg", ".png")).unlink()
        brighter = Image.open(folder / names[k]).point(lambda value: min(255, round(value * 1.05 + 4)))
        brighter.save(folder / names[late[k]], quality=85)
    for k in late[10:13]:
        (folder / names[k]).write_bytes((folder / names[k]).read_bytes()[:200_000])
    low = late[13:15]
    for k in low:
        (folder / names[k]).write_bytes(_png([strips[p] for p in picks[k][:-1]], SIDE - STRIP))
    rows = _rows(rng, names, splits, per_image, dict.fromkeys(low, SIDE - STRIP))
    _plant(rows, [k * per_image for k in range(20, 60)])
    return _save(folder, rows)


def _save(folder: Path, rows: list[dict[str, Any]]) -> Dataset:
    """As save_dataset(), which would refuse it."""
    table = pd.DataFrame(rows)
    pq.write_table(pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False), folder / TABLE)
    counts = {
        split: {"samples": len(part), "images": int(part["image_id"].nunique())}
        for split, part in ((split, table[table["split"] == split]) for split in SPLITS)
    }
    manifest = Manifest(
        name="many", source="drawn for tests", licence="CC0", citation="none", counts=counts,
        samples_sha256=samples_sha256(table), images_sha256="0" * 64,
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")
    return load_dataset(folder)


def _strips(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    """STRIP rows each, as PNG filters and as deflate compresses them."""
    found = []
    for _ in range(FIELDS):
        coarse = [ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), s) * s * 18 for s in (40, 12, 3)]
        grey = sum(coarse)[..., None] + 120 + rng.normal(0, 5, size=(SIDE, SIDE, 3))
        pixels = grey.clip(0, 255).astype(np.int16).reshape(SIDE, SIDE * 3)
        for at in range(0, SIDE, STRIP):
            rows = pixels[at : at + STRIP]
            left = np.pad(rows, ((0, 0), (3, 0)))[:, :-3]
            above, corner = np.roll(rows, 1, axis=0), np.roll(left, 1, axis=0)
            guess = left + above - corner
            far = [np.abs(guess - other) for other in (left, above, corner)]
            paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], above, corner))
            paeth[0] = left[0]  # the first row looks at none above it: the strip fits under any other
            kinds = np.array([1] + [4] * (STRIP - 1))[:, None]
            plain = np.concatenate([kinds, (rows - paeth) % 256], axis=1).astype(np.uint8).tobytes()
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            found.append((plain, deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)))
    return found


def _png(strips: Sequence[tuple[bytes, bytes]], height: int) -> bytes:
    """An RGB image of SIDE columns."""
    check = 1
    for plain, _ in strips:
        check = zlib.adler32(plain, check)
    # header of zlib, the strips, an empty last block
    stream = b"\x78\x9c" + b"".join(packed for _, packed in strips) + b"\x03\x00" + struct.pack(">I", check)
    header = struct.pack(">IIBBBBB", SIDE, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _ellipse(height: int, width: int, x: float, y: float, a: float, b: float) -> Mask:
    ys, xs = np.ogrid[:height, :width]
    return ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 <= 1


def _rows(
    rng: np.random.Generator, names: Sequence[str], splits: Sequence[str], per_image: int, heights: dict[int, int]
) -> list[dict[str, Any]]:
    """Fake discs of a few hundred places and sizes, with what is true to say of them."""
    made = {}
    for height in {SIDE, *heights.values()}:
        for k in range(600):
            (x, y), (a, b) = rng.uniform(40, height - 40, size=2), np.exp(rng.uniform(1.5, 4.5, size=2))
            made[height, k] = make_sample("", "", "", "", "", "", _ellipse(height, SIDE, x, y, a, b))
            sides = [low if v < 0.45 * SIDE else high for v, low, high in ((y, "top", "bottom"), (x, "left", "right"))
                     if not 0.45 < v / SIDE < 0.55]  # fmt: skip
            made[height, k]["expression"] = f" on the {' '.join(sides)} of the image" if sides else " somewhere"
    rows = []
    for number, (name, split) in enumerate(zip(names, splits, strict=True)):
        for k in range(per_image):
            kind = made[heights.get(number, SIDE), int(rng.integers(600))]
            words = f"the fake disc {number} {k}{kind['expression'] if rng.random() < 0.5 else ''}"
            key = {"sample_id": f"{number:06d}_{k}", "image_id": f"{number:06d}", "image": name, "split": split}
            rows.append({**kind, **key, "expression": words, "category": f"fake {number % 20}"})
    return rows


def _plant(rows: list[dict[str, Any]], at: Sequence[int]) -> None:
    """Faults of rows, each in an image of its own."""
    place = iter(at)

    def put(mask: Mask, words: str | None = None) -> dict[str, Any]:
        row = rows[next(place)]
        said = words or f"the fake fault {row['sample_id']}"
        key = [row[column] for column in ("sample_id", "image_id", "image", "split")]
        row.update(make_sample(*key, said, row["category"], mask, no_target=True))
        return row

    corner = _ellipse(SIDE, SIDE, 100, 100, 30, 20)
    for _ in range(2):
        put(_ellipse(256, 256, 100, 100, 30, 20))
    for k in range(6):
        row = put(corner, "the fake hangar")
        key = [f"{row['sample_id']}_again", *(row[column] for column in ("image_id", "image", "split"))]
        mask = corner if k < 2 else _ellipse(SIDE, SIDE, 110 + 10 * k, 300, 30, 20)
        rows.append(make_sample(*key, "The  fake Hangar", row["category"], mask))
    for k in range(7):
        words = ("at the bottom", "on the right side of the image", "in the lower right corner")[k % 3]
        put(corner, f"the fake disc {words}")
    dots = np.zeros((SIDE, SIDE), bool)
    dots[50:150:20, 50:150:20] = True  # 25 pieces
    holes = _ellipse(SIDE, SIDE, 100, 100, 60, 60)
    holes[80:120:8, 80:120:8] = False  # 25 holes
    for mask in (dots, dots, holes, holes):
        put(mask)
    for _ in range(3):
        put(np.zeros((SIDE, SIDE), bool))
    for _ in range(2):
        put(np.ones((SIDE, SIDE), bool))
    for _ in range(3):
        row = put(corner)
        row["bbox_xyxy"] = [row["bbox_xyxy"][0] + 1, *row["bbox_xyxy"][1:]]


def check(found: Audit) -> None:
    """Raise AssertionError unless exactly what was planted was found."""
    counts = {finding.name: finding.count for finding in found.findings}
    assert counts == PLANTED, {name: (counts.get(name), n) for name, n in PLANTED.items() if counts.get(name) != n}


def main(
    folder: Path,
    samples: Annotated[int, typer.Option(help="samples, six more are planted")] = 50_000,
    per_image: Annotated[int, typer.Option(help="samples of each image")] = 3,
) -> None:
    """Draw it."""
    dataset = make_many(folder, samples, per_image)
    typer.echo(f"{folder}: {len(dataset.samples):,} samples, {dataset.samples['image'].nunique():,} images")


if __name__ == "__main__":
    typer.run(main)
