"""Unpacks archives that strangers made: nothing leaves the folder, nothing points elsewhere, nothing fills the disk.

Refused before a byte is written: absolute paths and paths with "..", links, devices and pipes, encrypted members, two
members of one name, more than MAX_MEMBERS of them or MAX_BYTES in all. What a zip archive says about a member's size is
not believed: writing stops where it is exceeded.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from experiments.errors import InputError

MAX_BYTES = 64 << 30  # the largest dataset has about 15 GB
MAX_MEMBERS = 1_000_000


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
    with tempfile.TemporaryDirectory(prefix=".unpacking.part-", dir=folder) as place:
        try:
            if archive.name.endswith(".zip"):
                with zipfile.ZipFile(archive) as opened:
                    _unpack_zip(opened, archive, Path(place), max_bytes)
            else:
                with tarfile.open(archive) as opened_tar:
                    _unpack_tar(opened_tar, archive, Path(place), max_bytes)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as error:
            raise InputError(f"{archive}: broken or no archive ({error}); delete it and fetch it again") from error
        source = _level(Path(place), list(holds), archive)
        for name in holds:
            target = folder / name
            if target.is_dir():
                shutil.rmtree(target)
            (source / name).replace(target)


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
    seen = set()
    for member in members:
        path = PurePosixPath(member.name.replace("\\", "/"))
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


def _unpack_zip(opened: zipfile.ZipFile, archive: Path, place: Path, max_bytes: int) -> None:
    members = []
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG, stat.S_IFDIR) and not info.flag_bits & 1
        members.append(_Member(info.filename, info.file_size, info.is_dir(), plain))
    _check(members, archive, max_bytes)
    for info in opened.infolist():
        if not info.is_dir():
            with opened.open(info) as source:
                _write(source, place / info.filename, info.file_size, archive)


def _unpack_tar(opened: tarfile.TarFile, archive: Path, place: Path, max_bytes: int) -> None:
    _check(list(_tar_members(opened)), archive, max_bytes)
    for info in opened.getmembers():
        source = opened.extractfile(info)
        if source is not None:
            with source:
                _write(source, place / info.name, info.size, archive)


def _tar_members(opened: tarfile.TarFile) -> Iterator[_Member]:
    for info in opened:
        yield _Member(info.name, info.size, info.isdir(), info.isreg() or info.isdir())


def _write(source: IO[bytes], target: Path, size: int, archive: Path) -> None:
    """Copy a member of at most `size` bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as opened:
        left = size
        while block := source.read(min(1 << 20, left + 1)):
            left -= len(block)
            if left < 0:
                raise InputError(f"{archive}: member {target.name!r} is longer than the archive says; do not trust it")
            opened.write(block)
