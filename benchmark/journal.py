"""A file of entries that survives its writer: whole entries are read back, what lies behind the last is cut off.

One line an entry: eight hexadecimal digits of CRC-32, a blank, JSON. The first says what the entries are of.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any


class Journal:
    """Entries of one piece of work, in order.

    Attributes:
        entries: what is kept from before, any JSON.
        dropped: why nothing or not all that the file holds is used; None where it is.
    """

    def __init__(self, file: Path, about: Any) -> None:
        """Read a file, or begin it; about: JSON that says what the entries are of. A file of something else is begun
        anew, one that is damaged from the damage on."""
        self._file = file
        self.entries: list[Any] = []
        self.dropped: str | None = None
        file.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes() if file.is_file() else b""
        whole = 0
        for number, line in enumerate(content.splitlines(keepends=True)):
            found = _entry(line)
            if found is None:
                self.dropped = f"line {number + 1} of {file} is not whole; it and what follows is not used"
                break
            if number == 0 and found[0] != about:
                self.dropped = f"{file} is of other settings and is not used"
                break
            self.entries += found if number else []
            whole += len(line)
        with file.open("r+b" if file.is_file() else "xb") as opened:
            opened.truncate(whole)
        if not whole:
            self._append(about)

    def add(self, entry: Any) -> None:
        """Keep one more entry."""
        self._append(entry)
        self.entries.append(entry)

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
