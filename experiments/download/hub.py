"""Files of one repository of the Hugging Face hub at one commit, each checked against the hub's own checksum.

They lie in the hub's cache, where every program of the machine finds them (HF_HOME says where, HF_ENDPOINT names a
mirror). What is there is taken from there, and no server is asked: a commit never changes. The rest comes over
plain HTTP, which every mirror speaks: huggingface_hub 2.4 throws the beginning of a file away when its process ends,
and gigabytes over a bad line would never arrive. Here the beginning stays in the cache as <checksum>.incomplete and the
next call goes on from its end; huggingface_hub then only links the whole file into its place.

In the cache snapshots/<commit>/<file> is a link to blobs/<checksum>: SHA-256 of a large file, git's SHA-1 of a small
one.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers, get_session, hf_raise_for_status
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from benchmark.data.files import sha256
from benchmark.output.terminal import progress_bar, terminal
from models.errors import CheckpointError

COMMIT = re.compile(r"[0-9a-f]{40}")
CHECKSUM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
ATTEMPTS = 5  # without a single byte, a second apart
ASK = "ask for access on its page, and set HF_TOKEN to a token of the account that was given it"
LATER = (429, 500, 502, 503, 504)  # answers of a server that is worth asking again


class HubError(FileNotFoundError):
    """A file of the hub that is not to be had; the message names repository, commit, file and what to do."""


def fetch(repository: str, revision: str, names: Sequence[str], place: str) -> dict[str, Path]:
    """The files `names` of one commit, downloaded if they are not in the cache.

    Args:
        repository: owner/name.
        revision: the commit, 40 hexadecimal digits.
        names: files, the small ones first: what is wrong shows before gigabytes are downloaded.
        place: the key of params.yaml that asks for them, for the messages.

    Returns:
        Name -> the file in the hub's cache, in the order of `names`.

    Raises:
        HubError: one is not to be had: no network, no such repository, commit or file, no access.
        CheckpointError: the content of one is not what its checksum says.
    """
    files = {}
    for name in names:
        with _plain_errors(repository, revision, name, names, place):
            cached = try_to_load_from_cache(repository, name, revision=revision)
            if isinstance(cached, str):
                _check(Path(cached), _checksum(Path(cached), hf_hub_url(repository, name, revision=revision)))
                files[name] = Path(cached)
            else:
                files[name] = _obtain(repository, revision, name)
    return files


def newest_commit(repository: str, names: Sequence[str], place: str) -> str:
    """The commit at the tip of the default branch. names, place: as of fetch(); raises HubError if none is given."""
    branch = constants.DEFAULT_REVISION
    with _plain_errors(repository, branch, names[0], names, place):
        commit = get_hf_file_metadata(hf_hub_url(repository, names[0], revision=branch)).commit_hash or ""
    if not COMMIT.fullmatch(commit):
        raise HubError(f"{repository} at {branch}: its commit is {commit!r}, which is none; write {place}.revision")
    return commit


def fetch_dataset(repository: str, revision: str, name: str) -> Path:
    """One file of a dataset's repository, downloaded if it is not in the cache.

    Args:
        revision: a commit, or a branch, which is asked for its commit first.

    Raises:
        HubError: it is not to be had.
        CheckpointError: its content is not what its checksum says.
    """
    with _plain_errors(repository, revision, name):
        url = hf_hub_url(repository, name, revision=revision, repo_type="dataset")
        if not COMMIT.fullmatch(revision):
            revision = get_hf_file_metadata(url).commit_hash or revision
        cached = try_to_load_from_cache(repository, name, revision=revision, repo_type="dataset")
        if isinstance(cached, str):
            _check(Path(cached), _checksum(Path(cached), url))
            return Path(cached)
        return _obtain(repository, revision, name, "dataset")


def cached_dataset(repository: str, revision: str, name: str) -> Path | None:
    """One file of a dataset's repository if the cache has it; no server is asked.

    A branch is what it was when the cache last heard of it. Without links (a copied cache) there is no checksum to
    check it by. Raises CheckpointError if its content is not what its checksum says.
    """
    cached = try_to_load_from_cache(repository, name, revision=revision, repo_type="dataset")
    if not isinstance(cached, str):
        return None
    if Path(cached).is_symlink():
        _check(Path(cached), Path(os.readlink(cached)).name)
    return Path(cached)


def content_hash(file: Path, like: str) -> str:
    """SHA-256 of a file, or git's SHA-1 of it where `like` is one."""
    if len(like) == 64:
        return sha256(file)
    with file.open("rb") as opened:
        head = f"blob {file.stat().st_size}\0".encode()
        return hashlib.file_digest(opened, lambda: hashlib.sha1(head)).hexdigest()


def _checksum(cached: Path, url: str) -> str:
    """What the cache says about a file; where the system has no links, what the hub says."""
    if cached.is_symlink():
        return Path(os.readlink(cached)).name  # one step only: what it links to may itself be a link
    return get_hf_file_metadata(url).etag or ""


def _check(file: Path, checksum: str) -> None:
    if not CHECKSUM.fullmatch(checksum):
        raise CheckpointError(f"{file}: {checksum!r} is no checksum. Delete {file} and run this again")
    found = content_hash(file, checksum)
    if found != checksum:
        blob = file.parent / os.readlink(file) if file.is_symlink() else file
        raise CheckpointError(
            f"{file}: damaged: its content has the checksum {found} instead of {checksum}. "
            f"Delete {os.path.normpath(blob)} and run this again"
        )


def _obtain(repository: str, revision: str, name: str, kind: str = "model") -> Path:
    """Download one file, check it and put it into the cache. kind: of repository, as the hub calls it."""
    url = hf_hub_url(repository, name, revision=revision, repo_type=kind)
    metadata = get_hf_file_metadata(url)
    checksum, size = metadata.etag or "", metadata.size
    if metadata.commit_hash != revision or size is None or not CHECKSUM.fullmatch(checksum):
        raise HubError(
            f"{url}: the server gives commit {metadata.commit_hash}, ETag {checksum!r} and size {size}, which is not "
            f"what the hub gives; HF_ENDPOINT ({constants.ENDPOINT}) must name the hub or a mirror of it"
        )
    cache, folder = Path(constants.HF_HUB_CACHE), repo_folder_name(repo_id=repository, repo_type=kind)
    blob, lock = cache / folder / "blobs" / checksum, cache / ".locks" / folder / f"{checksum}.lock"
    for needed in (blob.parent, lock.parent):
        needed.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            _check(blob, checksum)
        else:
            part = blob.with_name(f"{checksum}.incomplete")
            _download(url, part, size, f"{repository} {name}")
            found = content_hash(part, checksum)
            if found != checksum:
                part.unlink()
                raise CheckpointError(
                    f"{url}: damaged on its way: what came has the checksum {found} instead of {checksum}. "
                    "It was thrown away; run this again, or name another mirror in HF_ENDPOINT"
                )
            os.replace(part, blob)
    return Path(hf_hub_download(repository, name, revision=revision, repo_type=kind))


def _download(url: str, part: Path, size: int, what: str) -> None:
    """Append to `part` until it has `size` bytes, from where an earlier call was cut."""
    part.touch()
    if part.stat().st_size > size:
        part.write_bytes(b"")
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with progress_bar(terminal(stderr=True), *columns) as progress:
        task = progress.add_task(what, total=size)
        failed = 0
        while (have := part.stat().st_size) < size:
            try:
                _append(url, part, have, progress, task)
            except (httpx2.TransportError, HfHubHTTPError) as error:
                worth = not isinstance(error, HfHubHTTPError) or error.response.status_code in LATER
                failed = 0 if part.stat().st_size > have else failed + 1
                if failed == ATTEMPTS or not worth:
                    kept = f"{part.stat().st_size:,} of {size:,} bytes are kept and the next run goes on from there"
                    raise HubError(f"{what}: cut off ({error or type(error).__name__}); {kept}: {part}") from error
                time.sleep(1)


def _append(url: str, part: Path, have: int, progress: Progress, task: TaskID) -> None:
    """One request for what is missing; a server that knows no ranges sends the whole file."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:
            have = 0
        with part.open("ab" if have else "wb") as opened:
            progress.update(task, completed=have)
            for chunk in response.iter_bytes():
                opened.write(chunk)
                progress.advance(task, len(chunk))


@contextmanager
def _plain_errors(
    repository: str, revision: str, name: str, names: Sequence[str] = (), place: str = ""
) -> Iterator[None]:
    """What huggingface_hub raises, said in one line, and with what to do where a folder can take its place."""
    try:
        yield
    except OfflineModeIsEnabled:
        cache = f"not in {constants.HF_HUB_CACHE}, or not as a link to its checksum"
        why = f"{cache}, and HF_HUB_OFFLINE forbids to ask: set it to 0"
    except GatedRepoError:
        why = f"its authors give it out on request: {ASK}"
    except RepositoryNotFoundError:
        why = f"{constants.ENDPOINT} knows no such repository (a private one needs HF_TOKEN)"
    except RevisionNotFoundError:
        why = "the repository has no such commit"
    except RemoteEntryNotFoundError:
        why = "the repository has no such file at that commit"
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = f"{constants.ENDPOINT} answers {status}{f': {ASK}' if status in (401, 403) else ''}"
    except (httpx2.HTTPError, LocalEntryNotFoundError) as error:
        why = f"{constants.ENDPOINT} cannot be reached ({error or type(error).__name__})"
    else:
        return
    by_hand = (
        f". Or get {', '.join(names)} by hand from {constants.ENDPOINT}/{repository}/tree/{revision}, lay them into "
        f"one folder and write in params.yaml {place}: {{folder: PATH}}"
    )
    raise HubError(f"{repository} at {revision}: {name}: {why}{by_hand if place else ''}")
