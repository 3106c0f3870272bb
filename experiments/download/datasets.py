"""Downloads the files of a published dataset to its root, once: what is there is not asked for again.

A file comes from where its declaration says (benchmark/datasets/spec.py), resumes where an earlier try was cut, is
checked, unpacked if it is an archive, and lies at its place only when it is whole. An archive laid at its place by hand
is taken just the same. Without a network, or for what can only be got by hand, the error says what to do, file by file.

Size, SHA-256 and MD5, where they are declared, are checked whenever a file is used, whoever laid it there; what is
unpacked already is not compared with its archive again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError

from benchmark.data.files import replacing, sha256
from benchmark.datasets.spec import Drive, File, Hub, Spec
from benchmark.output.terminal import say, terminal
from experiments.download import hub
from experiments.download.archives import is_archive, remove_unpacked, unpack
from experiments.errors import InputError

DRIVE = "https://drive.google.com/uc?id={id}"
console = terminal(soft_wrap=True)
PATIENCE = 5.0  # seconds until a server that does not answer counts as not there; to answer it has twice that


class MissingFilesError(FileNotFoundError):
    """Files of a dataset that are missing and could not be downloaded; the message says how to get them by hand."""


def download_dataset(spec: Spec, root: Path, offline: bool = False) -> None:
    """Have every needed file of a dataset under its root.

    Raises:
        MissingFilesError: one is not there, and is not to be had: by hand only, offline, or no network.
        InputError: one is not what it is declared to be.
    """
    for file in spec.files:
        local = root / file.into / file.name
        for left in remove_unpacked(local.parent):
            say(console, f"{spec.name}: removed {left}, left by a process that was killed")
        if not file.needed:
            continue
        if all((root / name).exists() for name in file.lands()):
            if not is_archive(local):
                _verify(file, local)
            continue
        if not local.is_file():
            local = _obtained(spec, root, file, offline)
        _verify(file, local)
        if file.sha256 is None and file.md5 is None:
            size = f"{local.stat().st_size:,} bytes"
            say(console, f"{local}: {size}, SHA-256 {sha256(local)} (none is published to compare it with)")
        if is_archive(local):
            unpack(local, root / file.into, file.holds)
        elif local != (place := root / file.into / file.name):  # in the hub's cache
            with replacing(place) as part:
                shutil.copyfile(local, part)
    root.mkdir(parents=True, exist_ok=True)


def _obtained(spec: Spec, root: Path, file: File, offline: bool) -> Path:
    """Where a file lies that was not at its place: there now, or in the hub's cache."""
    local = root / file.into / file.name
    if isinstance(file.origin, Hub) and offline:
        cached = hub.cached_dataset(file.origin.repository, file.origin.revision, file.name)
        if cached is not None:
            return cached
    if offline or file.origin is None:
        why = "--offline forbids to fetch it" if offline and file.origin else "it can be got by hand only"
        raise MissingFilesError(_by_hand(spec, root, file, why))
    local.parent.mkdir(parents=True, exist_ok=True)
    say(console, f"{spec.name}: {file.name} -> {local}")
    return _download(spec, root, file, local)


def _download(spec: Spec, root: Path, file: File, local: Path) -> Path:
    """Where the whole file lies: beside its place, or in the hub's cache."""
    try:
        if isinstance(file.origin, Hub):
            return hub.fetch_dataset(file.origin.repository, file.origin.revision, file.name)
        assert isinstance(file.origin, Drive)
        url = DRIVE.format(id=file.origin.id)
        _reach(url)
        gdown.download(url, str(local), resume=True, timeout=30, retries=3, use_cookies=False)
        return local
    except hub.HubError as error:
        raise MissingFilesError(_by_hand(spec, root, file, str(error))) from error
    except (FileURLRetrievalError, DownloadError, requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise MissingFilesError(_by_hand(spec, root, file, f"it cannot be fetched ({reason})")) from error


def _reach(url: str) -> None:
    """Raise OSError within seconds where nobody answers, be it a host, one that takes calls in silence, or a proxy.

    gdown would wait half a minute, four times: a large file may well pause that long on its way. Any answer will do.
    """
    requests.head(url, timeout=(PATIENCE, 2 * PATIENCE), allow_redirects=False).close()


def _verify(file: File, local: Path) -> None:
    """Raise InputError unless size and checksums are as declared, the cheap one first."""
    facts: tuple[tuple[str, object, Callable[[], object]], ...] = (
        ("size", file.size, lambda: local.stat().st_size),
        ("SHA-256", file.sha256, lambda: sha256(local)),
        ("MD5", file.md5, lambda: _md5(local)),
    )
    for name, declared, measure in facts:
        if declared is not None and (found := measure()) != declared:
            raise InputError(f"{local}: {name} is {found}, declared is {declared}; delete it and fetch it again")


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _by_hand(spec: Spec, root: Path, file: File, why: str) -> str:
    """What a person does instead."""
    lines = [
        f"{root}: {spec.name} needs {file.name}: {why}. By hand: {spec.steps(root)}",
        "The files, and where they go:",
    ]
    for other in spec.files:
        if other.needed:
            size = f"{other.size:,} bytes" if other.size else "size not published"
            there = all((root / name).exists() for name in other.lands())
            address = f", {_address(other)}" if other.origin else ""
            lines.append(f"  {root / other.into / other.name} ({size}{address}){': is there' if there else ''}")
    return "\n".join(lines)


def _address(file: File) -> str:
    if isinstance(file.origin, Drive):
        return DRIVE.format(id=file.origin.id)
    assert isinstance(file.origin, Hub)
    return f"https://huggingface.co/datasets/{file.origin.repository}"
