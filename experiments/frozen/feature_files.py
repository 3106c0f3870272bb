"""Features of a frozen encoder on disk, as long as there is room for them.

    work/features/clip/0123456789abcdef/     of all that features depend on but the image
        about.json                             what that is, for people
        3f/3f09...                             of one image, by the SHA-256 of its pixels

A file holds the features of an image and the CRC-32 of them, of what they depend on and of the image's
key. It is written whole or not at all and checked whenever it is read: what is not as it was written, or is of another
image, is not used. So processes that write at once do not disturb each other, and one that is killed leaves nothing
that counts.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.files import replacing

RESERVE = 2e9  # bytes of the disk that stay free, for what a run leaves
LEFT_BEHIND = 3600  # seconds after which what is not whole yet is of a writer that was killed
CHECK = 4  # bytes of CRC-32


class Room:
    """How much may still be written into a folder, which is made if it is not there.

    Attributes:
        left: bytes.
    """

    def __init__(self, folder: Path, budget: float, tell: Callable[[str], None]) -> None:
        """budget: bytes of all that lies there. tell: told once, where writing has to end early."""
        folder.mkdir(parents=True, exist_ok=True)
        self._used, self._free, self._budget, self._tell = _used(folder), shutil.disk_usage(folder).free, budget, tell
        self.left = min(budget - self._used, self._free - RESERVE)

    def why(self, needed: float) -> str:
        """Why so many bytes cannot be written."""
        return (
            f"{needed / 1e9:.3g} GB are needed; features.gigabytes of params.yaml is {self._budget / 1e9:g}, of which "
            f"{self._used / 1e9:.3g} are used, and {self._free / 1e9:.1f} are free on the disk ({RESERVE / 1e9:g} stay)"
        )

    def take(self, size: int) -> bool:
        """Whether so many bytes may be written."""
        if self.left < size:
            self.end(f"features.gigabytes of params.yaml, {self._budget / 1e9:g}, are used up")
            return False
        self.left -= size
        return True

    def end(self, why: str) -> None:
        """Write nothing more."""
        if self.left > 0:
            self._tell(f"note: no more features of frozen encoders are kept: {why}")
        self.left = 0


class FeatureFiles:
    """Those of one encoder.

    Args:
        parent: work/features/clip.
        about: all that they depend on but the image, as JSON.
        shape, kept_as: of the features of an image, and in which precision they are kept.
        room: for new ones.
        tell: told of the first one that is damaged.
    """

    def __init__(
        self,
        parent: Path,
        about: Mapping[str, Any],
        shape: tuple[int, ...],
        kept_as: torch.dtype,
        room: Room,
        tell: Callable[[str], None],
    ) -> None:
        self._shape, self._kept_as, self._room, self._tell = shape, kept_as, room, tell
        self.size = math.prod(shape) * kept_as.itemsize + CHECK  # bytes of a file
        self._about = json.dumps({**about, "shape": shape, "kept_as": str(kept_as)}, indent=1, sort_keys=True) + "\n"
        self._digest = hashlib.sha256(self._about.encode()).hexdigest()
        self.folder = parent / self._digest[:16]
        self._told = False

    def count(self) -> int:
        """Of how many images there are some."""
        return sum(not file.name.startswith(".") for file in self.folder.glob("??/*"))

    def key(self, item: Tensor) -> str:
        """SHA-256 of an image, uint8 (3, h, w), and of its size."""
        pixels = np.ascontiguousarray(item.cpu().numpy())
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(pixels.data)
        return digest.hexdigest()

    def read(self, key: str) -> Tensor | None:
        """The features of the image with this key, mapped from the disk; None where there are none."""
        file = self._file(key)
        try:
            content: NDArray[np.uint8] = np.memmap(file, mode="c")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):  # it cannot be read, or is empty
            content = np.zeros(0, dtype=np.uint8)
        values = content[:-CHECK]
        if len(content) != self.size or self._check(key, values) != content[-CHECK:].tobytes():
            if not self._told:
                self._tell(f"warning: {file} is damaged; what is damaged is computed again")
            self._told = True
            return None
        return torch.from_numpy(values).view(self._kept_as).view(self._shape)

    def write(self, key: str, features: Tensor) -> None:
        """Keep the features of an image, if there is room."""
        if not self._room.take(self.size):
            return
        values = features.contiguous().flatten().view(torch.uint8).numpy()
        try:
            if not (self.folder / "about.json").is_file():
                with replacing(self.folder / "about.json") as part:
                    part.write_text(self._about, encoding="utf-8")
            with replacing(self._file(key)) as part, part.open("wb") as opened:
                opened.write(values.data)
                opened.write(self._check(key, values))
        except OSError as error:
            self._room.end(f"{self.folder} cannot be written ({error.strerror})")

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _check(self, key: str, values: Any) -> bytes:
        return zlib.crc32(values, zlib.crc32(f"{self._digest} {key}".encode())).to_bytes(CHECK, "little")


def _used(folder: Path) -> int:
    """Bytes of the files in a folder, without parts of files that writers left behind, which are deleted."""
    used = 0
    for file in folder.rglob("*"):
        try:
            found = file.stat()
            if ".part-" in file.name and time.time() - found.st_mtime > LEFT_BEHIND:
                file.unlink()
            elif S_ISREG(found.st_mode):
                used += found.st_size
        except FileNotFoundError:  # another process has finished it
            continue
    return used
