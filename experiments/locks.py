"""One process at a time on what is not done yet."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import InputError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there; a process that ends in whatever way holds it no longer.

    Raises:
        InputError: another process holds it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise InputError(
            f"nothing can be written into {folder.parent} ({error.strerror}); let it be written, or give another place"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder} is being worked on by the same command; wait for it, or stop it") from None
        yield
