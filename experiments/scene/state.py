"""What is known so far of a scene that is being predicted, so that a run that was stopped goes on where it was.

    .NAME.<fingerprint>.unfinished/       beside the layers' place, until they are whole; NAME: that of --out
      state.json                            what it is the state of
      1.levels 2.levels ...                 of each expression a byte a pixel, row by row: LEVELS times the probability
      row_7.carry                           rows of windows 0 to 6 are done; what they add to the lines below
      row_7.windows                         the windows of row 7 that are done, from the left

A row is done when the carry of the next is there under its name: lines are written before. A window that was not
written to its end is predicted again. The same numbers are added in the same order either way, so the bytes are the
same.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files import remove
from experiments.locks import only_one
from experiments.scene.windows import Plan

LEVELS = 254  # a byte holds the probability in steps of 1 / LEVELS
HALF = LEVELS // 2  # a pixel of a higher level is the expression's: its probability is above 1/2
NO_DATA = 255
HEAD = struct.Struct("<II")  # of a window: bytes and their CRC-32; a window without data has none

Values = NDArray[np.float32]  # (expressions, height, width), probabilities; NaN where there is no data


def to_levels(values: Values) -> NDArray[np.uint8]:
    """Probabilities as bytes: the nearest step on its own side of 1/2; NaN as NO_DATA."""
    unknown = np.isnan(values)
    steps = np.rint(np.where(unknown, 0, values).clip(0, 1) * LEVELS)
    steps = np.where(values > 0.5, np.maximum(steps, HALF + 1), np.minimum(steps, HALF))
    levels: NDArray[np.uint8] = np.where(unknown, NO_DATA, steps).astype(np.uint8)
    return levels


class State:
    """The state of one scene, its windows laid by `plan`, for `count` expressions."""

    def __init__(self, folder: Path, plan: Plan, count: int) -> None:
        self.folder = folder
        self.plan = plan
        self.count = count
        done = [int(file.stem.removeprefix("row_")) for file in folder.glob("row_*.carry")]
        self.row = max(done, default=0)

    def levels(self, place: int) -> Path:
        """The file of an expression's levels; place: counted from 0."""
        return self.folder / f"{place + 1}.levels"

    def _carry(self, row: int) -> Path:
        return self.folder / f"row_{row}.carry"

    def _windows(self, row: int) -> Path:
        return self.folder / f"row_{row}.windows"

    def total(self) -> Values:
        """What the rows of windows that are done add to the lines of the next, (expressions, side, width)."""
        whole = np.zeros((self.count, self.plan.down.side, self.plan.across.length), np.float32)
        if self._carry(self.row).is_file():
            carried = np.fromfile(self._carry(self.row), np.float32).reshape(self.count, -1, self.plan.across.length)
            whole[:, : carried.shape[1]] = carried
        return whole

    def stored(self) -> list[Values | None]:
        """The windows of the next row that were done before; None for one without data.

        What lies behind them, half a window, is cut off.
        """
        file, shape = self._windows(self.row), (self.count, self.plan.down.side, self.plan.across.side)
        found: list[Values | None] = []
        if not file.is_file():
            return found
        whole = 0
        with file.open("r+b") as opened:
            while len(head := opened.read(HEAD.size)) == HEAD.size:
                size, code = HEAD.unpack(head)
                content = opened.read(size)
                if len(content) != size or zlib.crc32(content) != code:
                    break
                found.append(np.frombuffer(content, np.float32).reshape(shape) if size else None)
                whole = opened.tell()
            opened.truncate(whole)
        return found

    def add(self, values: Values | None) -> None:
        """Keep the next window of the row; None for one without data."""
        content = b"" if values is None else values.tobytes()
        with self._windows(self.row).open("ab") as opened:
            opened.write(HEAD.pack(len(content), zlib.crc32(content)) + content)

    def finish_row(self, total: Values) -> None:
        """Keep the lines that no later window lies over, and what is known of the others.

        total: (expressions, side, width), of the lines of this row of windows.
        """
        top, after = self.plan.down.starts[self.row], self.plan.final(self.row)
        for place in range(self.count):
            with os.fdopen(os.open(self.levels(place), os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
                file.seek(top * self.plan.across.length)
                file.write(to_levels(total[place, : after - top]).tobytes())
                file.flush()
                os.fsync(file.fileno())
        part = self.folder / "carry.part"
        part.write_bytes(total[:, after - top :].tobytes())
        part.replace(self._carry(self.row + 1))
        remove(self._carry(self.row))
        remove(self._windows(self.row))
        self.row += 1

    def lines(self, place: int, top: int, count: int) -> NDArray[np.uint8]:
        """(count, width) levels of an expression, from line `top`."""
        width = self.plan.across.length
        return np.fromfile(self.levels(place), np.uint8, count * width, offset=top * width).reshape(count, width)


def state_folder(out: Path, identity: Mapping[str, object]) -> Path:
    """Where the state of `identity` lies while the layers of `out` are made."""
    code = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    place = out.absolute()
    return place.with_name(f".{place.name}.{code}.unfinished")


def others(folder: Path, identity: Mapping[str, object]) -> list[str]:
    """The states beside this one that are of something else and are not used, a line for each."""
    prefix = folder.name.rsplit(".", 2)[0]
    found = []
    for other in sorted(folder.parent.iterdir()):
        if other == folder or other.name.rsplit(".", 2)[0] != prefix or other.suffix != folder.suffix:
            continue
        try:
            said = json.loads((other / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = {}
        changed = [key for key, value in identity.items() if said.get(key) != value]
        found.append(f"{other} is not used, its {', '.join(changed)} being other; delete it if nothing goes on there")
    return found


@contextmanager
def open_state(folder: Path, identity: Mapping[str, object], plan: Plan, count: int) -> Iterator[State]:
    """The state of `identity`, begun where there is none.

    Raises:
        InputError: another process is at it, or nothing can be written there.
    """
    with only_one(folder):
        part = folder / "state.part"
        part.write_text(json.dumps(identity, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(folder / "state.json")
        yield State(folder, plan, count)
