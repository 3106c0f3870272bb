"""Archives that strangers made: what is unpacked, and what is refused before a byte is written."""

from __future__ import annotations

import io
import itertools
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.download.archives import unpack
from experiments.errors import InputError

CONTENT = {"images/a.tif": b"a" * 100, "images/deep/b.tif": b"b", "phrases.txt": b"a road"}
HOLDS = ("images", "phrases.txt")


def make_zip(path: Path, content: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in content.items():
            archive.writestr(prefix + name, body)
    return path


def make_tar(path: Path, content: dict[str, bytes], prefix: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, body in content.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_is_found_at_whatever_depth_it_lies(subtests: pytest.Subtests, tmp_path: Path) -> None:
    kinds = (("a.zip", make_zip), ("a.tar.gz", make_tar))
    for (name, make), depth in itertools.product(kinds, ("", "RefSegRS/", "some/where/deep/")):
        with subtests.test(msg=f"{depth}{name}"):
            place = tmp_path / f"{name} {len(depth)}"
            place.mkdir()
            archive = make(place / name, CONTENT, depth)
            for _ in range(2):  # again: replaced
                unpack(archive, place / "root", HOLDS)
                assert files(place / "root") == CONTENT


def special(kind: bytes, **more: object) -> Callable[[Path], Path]:
    """A tar with one member of a kind."""

    def make(folder: Path) -> Path:
        path = make_tar(folder / "a.tar", {})
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("images/x")
            info.type = kind
            for name, value in more.items():
                setattr(info, name, value)
            archive.addfile(info)
        return path

    return make


def zip_link(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("images/x")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return folder / "a.zip"


def encrypted(folder: Path) -> Path:
    path = make_zip(folder / "a.zip", CONTENT)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(bytes(content))
    return path


def lying(folder: Path) -> Path:
    """A zip whose first member says it has 10 bytes and has 100."""
    path = make_zip(folder / "a.zip", CONTENT)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 24 :][:4] = struct.pack("<I", 10)
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 10)
    path.write_bytes(bytes(content))
    return path


def bomb(folder: Path) -> Path:
    """A megabyte of zeros in a kilobyte."""
    return make_zip(folder / "a.zip", {"images/a": bytes(1 << 20), "phrases.txt": b""})


def named(name: str) -> Callable[[Path], Path]:
    return lambda folder: make_zip(folder / "a.zip", {**CONTENT, name: b"evil"})


def tar_named(name: str) -> Callable[[Path], Path]:
    return lambda folder: make_tar(folder / "a.tar.gz", {**CONTENT, name: b"evil"})


def twice(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("images/a", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("images/a", "other")
    return folder / "a.zip"


def truncated(folder: Path) -> Path:
    path = make_zip(folder / "a.zip", CONTENT)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def damaged(folder: Path) -> Path:
    path = make_zip(folder / "a.zip", {"images/a": bytes(range(256)) * 40, "phrases.txt": b""})
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    path.write_bytes(bytes(content))
    return path


def damaged_member(method: int) -> Callable[[Path], Path]:
    """A zip whose first member is garbage from its second half on."""

    def make(folder: Path) -> Path:
        path = folder / "a.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("images/a", np.random.default_rng(0).bytes(5_000))
            archive.writestr("phrases.txt", b"")
        content = bytearray(path.read_bytes())
        content[80:280] = b"\xff" * 200
        path.write_bytes(bytes(content))
        return path

    return make


def damaged_tar(folder: Path) -> Path:
    path = make_tar(folder / "a.tar.gz", {"images/a": np.random.default_rng(0).bytes(50_000), "phrases.txt": b""})
    content = bytearray(path.read_bytes())
    content[3_000:3_010] = b"\xff" * 10
    path.write_bytes(bytes(content))
    return path


def page(folder: Path) -> Path:
    (folder / "a.zip").write_text("<!DOCTYPE html><title>Quota exceeded</title>")
    return folder / "a.zip"


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a way up": (named("../evil"), r"member '../evil' would leave the folder"),
    "a way up in the middle": (named("images/../../evil"), "would leave the folder"),
    "a way up in Windows' writing": (named("..\\evil"), "would leave the folder"),
    "an absolute path": (named("/tmp/evil"), "member '/tmp/evil' would leave the folder"),
    "a drive": (named("C:/evil"), "would leave the folder"),
    "a way up in a tar": (tar_named("../evil"), "would leave the folder"),
    "an absolute path in a tar": (tar_named("/tmp/evil"), "would leave the folder"),
    "a symbolic link in a zip": (zip_link, "member 'images/x' is a link, a device or encrypted"),
    "a symbolic link": (special(tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link, a device"),
    "a hard link": (special(tarfile.LNKTYPE, linkname="../../secret"), "is a link, a device"),
    "a device": (special(tarfile.CHRTYPE, devmajor=1, devminor=5), "is a link, a device"),
    "a pipe": (special(tarfile.FIFOTYPE), "is a link, a device"),
    "something encrypted": (encrypted, "is a link, a device or encrypted"),
    "two members of one name": (twice, "member 'images/a' is in it twice"),
    "a size that is a lie": (lying, "(is longer than the archive says|broken or no archive)"),
    "a bomb": (bomb, "unpacked it would be 1,048,576 bytes, more than"),
    "a file that is a folder as well": (named("images/a.tif/b"), "member 'images/a.tif' is a file and a folder"),
    "a file in a file of a tar": (tar_named("phrases.txt/b"), "member 'phrases.txt' is a file and a folder"),
    "a file without a name": (named("."), "member '.' is a file without a name"),
    "a name of 300 letters": (
        named("images/" + "a" * 300),
        r"member 'images/a+'\.\.\. has a name that no file can have",
    ),
    "a path of 2,000 letters": (named("a/" * 1000 + "b"), "has a name that no file can have"),
    "a damaged member": (damaged_member(zipfile.ZIP_DEFLATED), "broken or no archive"),
    "a damaged member by bzip2": (damaged_member(zipfile.ZIP_BZIP2), r"broken or no archive \(Invalid data stream\)"),
    "a damaged member by LZMA": (damaged_member(zipfile.ZIP_LZMA), r"broken or no archive \(Corrupt input data\)"),
    "a damaged tar": (damaged_tar, "broken or no archive"),
    "half of an archive": (truncated, "broken or no archive .*delete it and fetch it again"),
    "a damaged archive": (damaged, "broken or no archive"),
    "a page of HTML": (page, "broken or no archive .*delete it and fetch it again"),
    "another archive": (
        lambda folder: make_zip(folder / "a.zip", {"readme.md": b"", "pictures/a.tif": b""}),
        "no folder in it holds images, phrases.txt together; at its top it has pictures, readme.md",
    ),
}


def test_a_hostile_archive_is_refused_and_leaves_nothing(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for number, (name, (make, message)) in enumerate(HOSTILE.items()):
        with subtests.test(msg=name):
            place = tmp_path / str(number)
            (place / "archive").mkdir(parents=True)
            archive = make(place / "archive")
            before = set(tmp_path.rglob("*"))
            with pytest.raises(InputError, match=message):
                unpack(archive, place / "deep" / "root", HOLDS, max_bytes=100_000)
            assert {path for path in tmp_path.rglob("*") if path.is_file()} <= before
            assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_mutated_archives_never_get_further_than_a_clear_error(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / ("a.zip" if make is make_zip else "a.tar.gz")
    whole, refused = make(path, CONTENT).read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), size=3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            unpack(path, tmp_path / "root", HOLDS)
        except InputError:
            refused += 1
    assert refused > 100


def test_what_was_there_stays_when_a_later_archive_is_refused(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a.zip", CONTENT), tmp_path / "root", HOLDS)
    with pytest.raises(InputError):
        unpack(make_zip(tmp_path / "b.zip", {"images/a.tif": b"new"}), tmp_path / "root", HOLDS)
    assert files(tmp_path / "root") == CONTENT
