"""Files and folders written whole or not at all, small tables among them, and the SHA-256 of a file."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.data.errors import SampleError

UNREADABLE = (  # what a table raises that is none
    *(OSError, ValueError, pa.ArrowException),
    *(TypeError, KeyError),  # pyarrow, of what pandas wrote beside it
)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder to.

    It becomes `path` when the block ends well and vanishes when it does not; what was at `path` stays until then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (path.with_name(f".{path.name}.{kind}-{os.getpid()}") for kind in ("part", "part-old"))
    remove(part)
    try:
        yield part
        if path.is_dir():
            path.rename(old)
        part.replace(path)
        remove(old)
    finally:
        remove(part)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; a process that ends in whatever way holds it no longer. remove_leftovers() lets it be."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        _locked(opened, fcntl.LOCK_SH)
        yield
    finally:
        os.close(opened)


def remove_leftovers(path: Path) -> list[Path]:
    """Delete the folders of processes that were killed while they were replacing() `path`, and give their names.

    That of a process that runs stays: one that is seen here, or one in another container that holds it (held()).
    """
    places = [place for place in path.parent.glob(f".{glob.escape(path.name)}.part-*") if place.is_dir()]
    left = [place for place in sorted(places) if not place.is_symlink() and not _in_use(place)]
    for place in left:
        remove(place)
    return left


def _in_use(folder: Path) -> bool:
    """Whether the process that its name ends with is there, or another holds it; so, too, where that is not known."""
    number = folder.name.rpartition("-")[2]
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        pass
    except (ValueError, OverflowError, PermissionError):  # no process; another user's
        return True
    else:
        return True
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not _locked(opened, fcntl.LOCK_EX)
    finally:
        os.close(opened)


def _locked(opened: int, kind: int) -> bool:
    """Whether a lock was to be had; not where another process has it, nor on a file system without locks."""
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write every file or none; their folders are made.

    Raises:
        IsADirectoryError: a folder lies where a file is to be written; it is left as it is.
    """
    for path in contents:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with ExitStack() as stack:
        parts = {path: stack.enter_context(replacing(path)) for path in contents}
        for path, part in parts.items():
            part.write_bytes(contents[path])


def write_table(path: Path, table: pd.DataFrame, schema: pa.Schema | None = None) -> None:
    """Write a table as Parquet."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False, schema=schema)
    write_all({path: stream.getvalue()})


def read_parquet(path: Path) -> pd.DataFrame:
    """A table, all of it valid: pandas notices text that is no UTF-8 when it is looked at, and no earlier.

    Raises UNREADABLE for a file that is none.
    """
    table = pq.read_table(path)
    table.validate(full=True)
    return table.to_pandas()


def read_table(path: Path, columns: Sequence[str], remedy: str) -> pd.DataFrame:
    """Read a table of exactly these columns.

    Raises FileNotFoundError if it is not there, SampleError for another one; both end with ``remedy``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; {remedy}")
    try:
        table = read_parquet(path)
    except UNREADABLE as error:
        raise SampleError(f"{path} cannot be read ({error}); {remedy}") from error
    if tuple(table.columns) != tuple(columns):
        raise SampleError(f"{path}: columns are {list(table.columns)}, not {list(columns)}; {remedy}")
    return table


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
