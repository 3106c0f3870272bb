"""Unpacks untrusted archives: nothing leaves the folder, nothing points elsewhere, nothing fills the disk.

Refused before a byte is written: absolute paths and paths with "..", links, devices and pipes, encrypted members, two
members of one name, a file that is a folder as well, names that no file system takes, more than MAX_MEMBERS members or
MAX_BYTES in all. What a zip archive says about a member's size is not believed: writing stops where it is exceeded.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from benchmark.data.files import held, remove, remove_leftovers
from experiments.errors import InputError

MAX_BYTES = 64 << 30  # the largest dataset has about 15 GB
MAX_MEMBERS = 1_000_000
MAX_PART, MAX_PATH = 255, 1024  # bytes of a name and of a member's whole path
PLACE = "unpacking"


class _Member(NamedTuple):
    name: str
    size: int
    folder: bool
    plain: bool  # a file or a folder, and not encrypted


def is_archive(path: Path) -> bool:
    """Whether a file is to be unpacked, by its name."""
    return path.name.endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def unpack(archive: Path, folder: Path, holds: Iterable[str], max_bytes: int = MAX_BYTES) -> None:
    """Put `holds` (files or folders) out of an archive into `folder`, wherever they lie in it together.

    Everything is unpacked beside `folder` first, so what is interrupted leaves nothing half-written in it. What is
    there already is replaced.

    Raises:
        InputError: no archive, a broken one, one with a member that is refused, or without `holds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _place(folder) as place:
        if archive.name.endswith(".zip"):
            _unpack_zip(archive, place, max_bytes)
        else:
            _unpack_tar(archive, place, max_bytes)
        source = _level(place, list(holds), archive)
        for name in holds:
            remove(folder / name)
            (source / name).replace(folder / name)


def remove_unpacked(folder: Path) -> list[Path]:
    """Delete what killed processes left of unpacking into `folder`, and give its names; what is in use stays."""
    return remove_leftovers(folder / PLACE)


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """A fresh folder in `folder` that vanishes with the block."""
    place = folder / f".{PLACE}.part-{os.getpid()}"
    remove(place)
    place.mkdir()
    try:
        with held(place):
            yield place
    finally:
        remove(place)


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """What the readers of archives raise for broken ones, as one error; nothing is written within."""
    try:
        yield
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
        *(OSError, EOFError, ValueError, NotImplementedError),  # bz2 and gzip raise OSError
    ) as error:
        reason = " ".join(str(error).split()) or "it ends early"
        raise InputError(f"{archive}: broken or no archive ({reason}); delete it and fetch it again") from error


def _level(place: Path, holds: list[str], archive: Path) -> Path:
    """The folder of the archive in which everything lies that is needed."""
    for folder in (place, *sorted(path for path in place.rglob("*") if path.is_dir())):
        if all((folder / name).exists() for name in holds):
            return folder
    found = sorted(path.relative_to(place).as_posix() for path in place.glob("*"))[:8]
    raise InputError(
        f"{archive}: no folder in it holds {', '.join(holds)} together; at its top it has "
        f"{', '.join(found) or 'nothing'}. It is another archive, or its layout has changed: unpack it by hand"
    )


def _check(members: list[_Member], archive: Path, max_bytes: int) -> None:
    """Raise InputError for the first member that is refused."""
    if len(members) > MAX_MEMBERS or (total := sum(member.size for member in members)) > max_bytes:
        size = f"{len(members):,} members" if len(members) > MAX_MEMBERS else f"{total:,} bytes"
        raise InputError(
            f"{archive}: unpacked it would be {size}, more than the {MAX_MEMBERS:,} or {max_bytes:,} allowed"
        )
    seen: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(member.name.replace("\\", "/"))
        if not path.parts and not member.folder:
            raise InputError(f"{archive}: member {member.name!r} is a file without a name; do not trust it")
        long = max((len(part.encode(errors="replace")) for part in path.parts), default=0) > MAX_PART
        if long or len(str(path).encode(errors="replace")) > MAX_PATH or "\0" in member.name:
            raise InputError(f"{archive}: member {member.name[:80]!r}... has a name that no file can have; rename it")
        if path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else ""):
            raise InputError(
                f"{archive}: member {member.name!r} would leave the folder; it is refused: do not trust it"
            )
        if not member.plain:
            raise InputError(
                f"{archive}: member {member.name!r} is a link, a device or encrypted; it is refused: do not trust it"
            )
        if path in seen and not member.folder:
            raise InputError(f"{archive}: member {member.name!r} is in it twice; fetch it again")
        seen.add(path)
        folders.update(path.parents, {path} if member.folder else ())
    if both := sorted(
        folders & {PurePosixPath(member.name.replace("\\", "/")) for member in members if not member.folder}
    ):
        raise InputError(f"{archive}: member '{both[0]}' is a file and a folder; do not trust it")


def _unpack_zip(archive: Path, place: Path, max_bytes: int) -> None:
    with _reading(archive):
        opened = zipfile.ZipFile(archive)
    with opened:
        members = []
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR) and not info.flag_bits & 1
            members.append(_Member(info.filename, info.file_size, info.is_dir(), plain))
        _check(members, archive, max_bytes)
        for info in opened.infolist():
            if not info.is_dir():
                with _reading(archive):
                    source = opened.open(info)
                with source:
                    _write(source, place / info.filename, info.file_size, archive)


def _unpack_tar(archive: Path, place: Path, max_bytes: int) -> None:
    with _reading(archive):
        opened = tarfile.open(archive)  # noqa: SIM115 it is closed below
    with opened:
        with _reading(archive):
            infos = list(islice(opened, MAX_MEMBERS + 1))
            if len(infos) <= MAX_MEMBERS:
                _check_end(opened)
        members = [_Member(info.name, info.size, info.isdir(), info.isreg() or info.isdir()) for info in infos]
        _check(members, archive, max_bytes)
        for info in infos:
            with _reading(archive):
                source = opened.extractfile(info)
            if source is not None:
                with source:
                    _write(source, place / info.name, info.size, archive)


def _check_end(opened: tarfile.TarFile) -> None:
    """Raise tarfile.ReadError where the list of members ends because one is damaged: tarfile says nothing then."""
    assert opened.fileobj is not None
    opened.fileobj.seek(opened.offset)
    if opened.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("the header of a member is damaged")
    while opened.fileobj.read(1 << 20):  # to the checksum at the end
        pass


def _write(source: IO[bytes], target: Path, size: int, archive: Path) -> None:
    """Copy a member of at most `size` bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as opened:
        left = size
        while True:
            with _reading(archive):
                block = source.read(min(1 << 20, left + 1))
            if not block:
                return
            left -= len(block)
            if left < 0:
                raise InputError(f"{archive}: member {target.name!r} is longer than the archive says; do not trust it")
            opened.write(block)
