"""A file of entries that survives its writer: whole entries are read back, what lies behind the last is cut off.

One line an entry: eight hexadecimal digits of CRC-32, a blank, JSON. The first says what the entries are of. Entries
stay in the file: they are read when they are asked for, one at a time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Entries:
    """The entries in a journal's file."""

    def __init__(self, file: Path, count: int) -> None:
        self._file, self._count = file, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        with self._file.open("rb") as lines:
            next(lines)  # what they are of
            for line in lines:
                yield json.loads(line.partition(b" ")[2])


class Journal:
    """Entries of one piece of work, in order.

    Attributes:
        dropped: why nothing or not all that the file holds is used; None where it is.
    """

    def __init__(self, file: Path, about: Any) -> None:
        """Read a file, or begin it; about: JSON that says what the entries are of. A file of something else is begun
        anew, one that is damaged from the damage on."""
        self._file = file
        self.dropped: str | None = None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        whole, kept = 0, 0
        with file.open("r+b") as opened:
            for line in opened:
                found = _entry(line)
                if found is None:
                    self.dropped = f"line {kept + 1} of {file} is not whole; it and what follows is not used"
                    break
                if kept == 0 and found[0] != about:
                    self.dropped = f"{file} is of other settings and is not used"
                    break
                whole, kept = whole + len(line), kept + 1
            opened.truncate(whole)
        if not kept:
            self._append(about)
        self._count = max(0, kept - 1)

    @property
    def entries(self) -> Entries:
        """What is kept from before and was added, any JSON."""
        return Entries(self._file, self._count)

    def add(self, entry: Any) -> None:
        """Keep one more entry."""
        self._append(entry)
        self._count += 1

    def _append(self, entry: Any) -> None:
        content = json.dumps(entry).encode()
        with self._file.open("ab") as opened:
            opened.write(b"%08x %s\n" % (zlib.crc32(content), content))


def _entry(line: bytes) -> list[Any] | None:
    """The entry of a line, in a list; None where it is not as it was written."""
    code, _, content = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or code != b"%08x" % zlib.crc32(content):
        return None
    return [json.loads(content)]
