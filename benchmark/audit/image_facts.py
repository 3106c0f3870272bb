"""What an image file is like: whether it can be read, its size, its bytes' hash, and what it looks like in few bytes.

Two images look alike if their 64-bit difference hashes (dHash: 9 x 8 grey cells, is a cell brighter than its left
neighbour?) differ in at most NEAR bits, and if their 18 x 16 grey cells, the mean and the plane through them taken out,
also correlate by at least ALIKE. Of unrelated images the hash alone lets about one pair in 10^9 pass if its bits were
independent, but they are not: everything with one bright corner hashes alike. The correlation settles that.

Images of which fewer than CLEAR of the 64 neighbours differ by at least STEP grey levels are nearly flat (open water,
desert): noise decides their hash, so they are compared by their bytes only. Copies that were cropped, turned or
mirrored are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.errors import SampleError
from benchmark.data.images import read_picture

NEAR = 4  # bits of 64
ALIKE = 0.95  # correlation
CLEAR = 32  # neighbours of 64
STEP = 2.0  # grey levels of 255
ROWS = 256  # images compared with all others at once; bounds the memory to ROWS x others x 4 bytes


@dataclass(frozen=True)
class ImageFacts:
    """Of one file. fault: why it cannot be read, then everything else but the hash is 0 or empty.

    sha256: of the bytes, "" where there is no file. look: 18 x 16 grey levels, row by row. dhash: None if nearly flat.
    orientation: the tag by which it was turned, 1: as it is stored.
    """

    height: int
    width: int
    sha256: str
    look: bytes = b""
    dhash: int | None = None
    fault: str = ""
    orientation: int = 1


@dataclass(frozen=True)
class NearCopy:
    """Image ``second`` looks like image ``first``, by indices; bits: in which their hashes differ."""

    first: int
    second: int
    bits: int
    correlation: float


def chunks(paths: Sequence[Path], size: int = 32) -> list[list[Path]]:
    """The files in small groups, those of the same number of bytes side by side: copies meet, and one is decoded."""
    order = sorted(paths, key=lambda path: (path.stat().st_size if path.is_file() else -1, str(path)))
    return [order[at : at + size] for at in range(0, len(order), size)]


def measure_images(paths: Sequence[Path]) -> list[ImageFacts]:
    """In order of ``paths``; of files with the same bytes one is decoded."""
    known: dict[str, ImageFacts] = {}
    found = []
    for path in paths:
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            facts = known.get(sha256) or _measure(path, sha256)
            known[sha256] = facts
        except OSError as error:
            facts = ImageFacts(0, 0, "", fault=error.strerror or str(error))
        found.append(facts)
    return found


def _measure(path: Path, sha256: str) -> ImageFacts:
    try:
        pixels, _, orientation, _ = read_picture(path)
    except SampleError as error:
        return ImageFacts(0, 0, sha256, fault=str(error).replace(str(path), path.name))
    small = Image.fromarray(pixels).resize((72, 64), Image.Resampling.BOX, reducing_gap=2.0)
    fine = np.asarray(small.convert("L"), np.float32)
    look = fine.reshape(16, 4, 18, 4).mean(axis=(1, 3)).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    return ImageFacts(height, width, sha256, look.tobytes(), _dhash(fine), orientation=orientation)


def _dhash(grey: NDArray[np.float32]) -> int | None:
    """Of (64, 72) grey levels; None if nearly flat."""
    steps = np.diff(grey.reshape(8, 8, 9, 8).mean(axis=(1, 3)), axis=1)
    if np.count_nonzero(np.abs(steps) >= STEP) < CLEAR:
        return None
    return int.from_bytes(np.packbits(steps > 0).tobytes(), "big")


def near_copies(images: Sequence[ImageFacts], first: Sequence[int], second: Sequence[int]) -> Iterator[NearCopy]:
    """For each image of ``second`` that looks like one of ``first``, the one it looks most like.

    Fewest bits, then highest correlation, then the earliest. All pairs are tried, ROWS images at a time: 1 ns a pair.
    """
    first = [k for k in first if images[k].dhash is not None]
    second = [k for k in second if images[k].dhash is not None]
    if not first or not second:
        return
    hashes, others = (np.array([images[k].dhash for k in group], np.uint64) for group in (first, second))
    looks = _looks(images, first)
    for at in range(0, len(second), ROWS):
        bits = np.bitwise_count(others[at : at + ROWS, None] ^ hashes)  # (rows, first) uint8
        rows = np.flatnonzero((bits <= NEAR).any(axis=1))
        columns = np.flatnonzero((bits <= NEAR).any(axis=0))
        if not len(rows):
            continue
        mine = _looks(images, [second[at + row] for row in rows])
        correlation = mine @ looks[columns].T
        score = bits[np.ix_(rows, columns)] + (1 - correlation)  # a correlation here is above 0: never a bit's worth
        score[(bits[np.ix_(rows, columns)] > NEAR) | (correlation < ALIKE)] = np.inf
        best = score.argmin(axis=1)
        for row, column in enumerate(best):
            if np.isfinite(score[row, column]):
                match = columns[column]
                yield NearCopy(
                    first[match], second[at + rows[row]], int(bits[rows[row], match]), float(correlation[row, column])
                )


def _looks(images: Sequence[ImageFacts], chosen: Sequence[int]) -> NDArray[np.float32]:
    """(N, 288) of length 1, mean and plane taken out, so that a product is a correlation."""
    values = np.frombuffer(b"".join(images[k].look for k in chosen), np.uint8).reshape(-1, 288).astype(np.float32)
    ys, xs = np.mgrid[-1:1:16j, -1:1:18j]
    plane, _ = np.linalg.qr(np.stack([np.ones(288), xs.ravel(), ys.ravel()], axis=-1))
    plane = plane.astype(np.float32)
    values -= (values @ plane) @ plane.T
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(lengths, 1e-6)
