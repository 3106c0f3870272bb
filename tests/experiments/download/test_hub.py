"""The hub is a server on this machine that speaks as much of its protocol as is needed: small files come from it, large
ones by a redirection from another host, each with the checksum by which it is known. Where the environment is what is
tested the client is another process, for huggingface_hub reads it when it is imported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants, hf_hub_download

from experiments.download.hub import HubError, cached_dataset, fetch, fetch_dataset
from models.checkpoint import CheckpointError

ROOT = Path(__file__).parents[3]
REPOSITORY, COMMIT = "owner/model", "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b'{"model_type": "fake"}', "model.safetensors": bytes(range(256)) * 8192}  # 2 MiB
LARGE = "model.safetensors"
PLACE = "foundation.rsrefseg-b.clip"
CLIENT = f"""
import json
from experiments.download import hub
try:
    files = hub.fetch("{REPOSITORY}", "{COMMIT}", {list(FILES)}, "{PLACE}")
    print(json.dumps({{"files": {{name: str(file) for name, file in files.items()}}}}))
except hub.HubError as error:
    print(json.dumps({{"error": str(error)}}))
"""


def checksum(name: str, content: bytes) -> str:
    """As the hub knows a file: SHA-256 of a large one, git's SHA-1 of a small one."""
    if name == LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Request:
    """What the server was asked, and how much of a body it sent."""

    method: str
    path: str
    range: str | None
    authorized: bool
    sent: int = 0


@dataclass
class FakeHub:
    """The server's content and its faults."""

    content: dict[str, bytes] = field(default_factory=lambda: dict(FILES))  # what it sends
    etag: dict[str, str] = field(default_factory=lambda: {name: checksum(name, body) for name, body in FILES.items()})
    commit: str = COMMIT
    cut_at: int | None = None  # the next body of the large file ends here, without a word
    stall: bool = False  # instead, nothing more comes
    ranges: bool = True
    requests: list[Request] = field(default_factory=list)
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def bodies(self, name: str = "") -> list[Request]:
        """The downloads of one file, or all."""
        ends = f"/{self.etag[LARGE]}" if name == LARGE else f"/{name}"
        return [one for one in self.requests if one.sent and (not name or one.path.endswith(ends))]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.path.startswith("/api/"):  # huggingface_hub's own curiosity about who calls it
            return self.refuse(404, "RepoNotFound")
        authorized = "Authorization" in self.headers
        self.seen = Request(self.command, self.path, self.headers.get("Range"), authorized)
        self.hub.requests.append(self.seen)
        if self.path.startswith("/cdn/"):
            return self.body(LARGE)
        repository, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repository == f"datasets/{REPOSITORY}":
            repository, revision = REPOSITORY, COMMIT if revision == "main" else revision
        if repository == "owner/gated":
            return self.refuse(403, "GatedRepo")
        if repository != REPOSITORY:
            return self.refuse(401, "RepoNotFound")
        if revision != COMMIT:
            return self.refuse(404, "RevisionNotFound")
        if name not in self.hub.content:
            return self.refuse(404, "EntryNotFound")
        if name != LARGE:
            return self.body(name)
        self.send_response(302)
        port = self.server.server_address[1]
        self.send_header("Location", f"http://localhost:{port}/cdn/{self.hub.etag[name]}")
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("X-Linked-Etag", f'"{self.hub.etag[name]}"')
        self.send_header("X-Linked-Size", str(len(self.hub.content[name])))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def body(self, name: str) -> None:
        whole = self.hub.content[name]
        asked = self.headers.get("Range") if self.hub.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("ETag", f'"{self.hub.etag[name]}"')
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(whole)
        if name == LARGE and self.hub.cut_at is not None:
            end, self.hub.cut_at = self.hub.cut_at, None
        self.wfile.write(whole[start:end])
        self.wfile.flush()
        self.seen.sent = end - start
        if end < len(whole):
            if self.hub.stall:
                self.hub.released.wait(60)
            self.close_connection = True


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    state = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": state}))
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    state.released.set()
    server.shutdown()
    server.server_close()


def environment(home: Path, address: str, **more: str) -> dict[str, str]:
    ours = {"HF_HOME": str(home), "HF_ENDPOINT": address, "PYTHONPATH": str(ROOT)}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "PROXY" not in key.upper()}
    return {**kept, **ours, **more}


def client(home: Path, address: str, **more: str) -> dict[str, Any]:
    """What a fresh process says that fetches the files in this environment."""
    command, env = [sys.executable, "-c", CLIENT], environment(home, address, **more)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def cache(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's own huggingface_hub, as if it had been imported with HF_HOME and HF_ENDPOINT set."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + template)
    return tmp_path


def get() -> dict[str, bytes]:
    """The files, fetched in this process."""
    return {name: file.read_bytes() for name, file in fetch(REPOSITORY, COMMIT, list(FILES), PLACE).items()}


def content(said: dict[str, Any]) -> dict[str, bytes]:
    assert "files" in said, said
    return {name: Path(file).read_bytes() for name, file in said["files"].items()}


def blobs(home: Path) -> Path:
    return home / "hub" / "models--owner--model" / "blobs"


def closed_port() -> str:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        return f"http://127.0.0.1:{server.server_address[1]}"


# ----------------------------------------------------------------------------------------------------- other processes


def test_files_are_brought_once_and_then_need_no_server(hub: FakeHub, tmp_path: Path) -> None:
    first = client(tmp_path, hub.address)
    assert content(first) == FILES
    assert [one.sent for one in hub.bodies()] == [len(body) for body in FILES.values()]
    asked = len(hub.requests)
    assert client(tmp_path, hub.address) == first
    assert len(hub.requests) == asked
    assert client(tmp_path, closed_port(), HF_HUB_OFFLINE="1") == first


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_killed_goes_on_in_the_next_process(hub: FakeHub, tmp_path: Path, ranges: bool) -> None:
    hub.cut_at, hub.stall = 1_000_000, True
    command, env = [sys.executable, "-c", CLIENT], environment(tmp_path, hub.address)
    killed = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    part, deadline = blobs(tmp_path) / f"{hub.etag[LARGE]}.incomplete", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    hub.ranges = ranges
    assert content(client(tmp_path, hub.address)) == FILES
    _, second = hub.bodies(LARGE)
    assert second.range == "bytes=1000000-"
    assert second.sent == len(FILES[LARGE]) - (1_000_000 if ranges else 0)
    assert not part.exists()


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_a_network_the_message_comes_in_seconds_and_says_what_to_do(tmp_path: Path, offline: str) -> None:
    address, started = closed_port(), time.monotonic()
    message = client(tmp_path, address, HF_HUB_OFFLINE=offline)["error"]
    assert time.monotonic() - started < 20  # a process that imports torch, and one refused connection
    why = "HF_HUB_OFFLINE" if offline == "1" else f"{address} cannot be reached"
    for part in (REPOSITORY, COMMIT, *FILES, why, f"{PLACE}: {{folder: PATH}}"):
        assert part in message


# -------------------------------------------------------------------------------------------------------- this process


def test_the_cache_is_the_one_huggingface_hub_keeps(hub: FakeHub, cache: Path) -> None:
    def entries(home: Path) -> dict[str, str]:
        kept = [path for path in home.rglob("*") if {"blobs", "snapshots"} & set(path.parts) and not path.is_dir()]
        links = {path: os.readlink(path) if path.is_symlink() else "" for path in kept}
        return {str(path.relative_to(home)): link for path, link in links.items()}

    get()
    for name in FILES:
        hf_hub_download(REPOSITORY, name, revision=COMMIT, cache_dir=cache / "official")
    assert entries(cache / "official") == entries(cache / "hub")
    (cache / "hub").rename(cache / "ours")
    (cache / "official").rename(cache / "hub")
    asked = len(hub.requests)
    assert get() == FILES
    assert len(hub.requests) == asked


def test_the_token_is_sent_to_the_hub_and_not_to_the_other_host(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get()
    assert {(one.path.startswith("/cdn/"), one.authorized) for one in hub.requests} == {(True, False), (False, True)}


def test_a_cut_download_goes_on_where_it_stopped(hub: FakeHub, cache: Path) -> None:
    hub.cut_at = 1_000_000
    assert get() == FILES
    first, second = hub.bodies(LARGE)
    assert (first.range, first.sent) == (None, 1_000_000)
    assert second.range == "bytes=1000000-"


def test_a_beginning_of_another_file_does_no_harm(hub: FakeHub, cache: Path) -> None:
    part = blobs(cache) / f"{hub.etag[LARGE]}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="thrown away; run this again"):
        get()
    assert get() == FILES
    (blobs(cache) / hub.etag[LARGE]).unlink()
    part.write_bytes(b"x" * (len(FILES[LARGE]) + 1))
    assert get() == FILES


@pytest.mark.parametrize("name", FILES)
def test_other_bytes_of_the_right_length_are_refused_and_not_kept(hub: FakeHub, cache: Path, name: str) -> None:
    hub.content[name] = hub.content[name][:-1] + b"?"
    with pytest.raises(CheckpointError, match=f"{name}: damaged") as refused:
        get()
    assert checksum(name, hub.content[name]) in str(refused.value)
    assert hub.etag[name] in str(refused.value)
    assert not list(blobs(cache).glob(f"{hub.etag[name]}*"))
    hub.content[name] = FILES[name]
    assert get() == FILES


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("offline", [False, True])
def test_a_damaged_file_of_the_cache_is_refused_and_says_what_to_delete(
    hub: FakeHub, cache: Path, name: str, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    get()
    blob = blobs(cache) / hub.etag[name]
    damaged = blob.read_bytes()[:-1] + b"?"
    blob.write_bytes(damaged)
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(CheckpointError, match=f"{name}: damaged") as refused:
            get()
    for part in (hub.etag[name], checksum(name, damaged), f"Delete {blob}"):
        assert part in str(refused.value)
    blob.unlink()
    assert get() == FILES


def test_a_blob_that_is_a_link_itself_is_known_by_its_own_name(hub: FakeHub, cache: Path) -> None:
    get()
    blob = blobs(cache) / hub.etag[LARGE]
    blob.rename(cache / "shared")
    blob.symlink_to(cache / "shared")
    assert get() == FILES


def test_a_copied_cache_without_links_is_checked_against_the_hub(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fetch(REPOSITORY, COMMIT, [LARGE], PLACE)[LARGE]
    file.unlink()
    file.write_bytes(FILES[LARGE])
    assert get() == FILES
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
            get()
    file.write_bytes(FILES[LARGE][:-1] + b"?")
    with pytest.raises(CheckpointError, match=f"Delete {file}"):
        get()


@pytest.mark.parametrize(
    ("repository", "revision", "name", "said"),
    [
        ("owner/unheard_of", COMMIT, "config.json", "knows no such repository"),
        ("owner/gated", COMMIT, "config.json", "accept their terms on its page and set HF_TOKEN"),
        (REPOSITORY, COMMIT[::-1], "config.json", "the repository has no such commit"),
        (REPOSITORY, COMMIT, "tokenizer.json", "tokenizer.json: the repository has no such file at that commit"),
    ],
)
def test_what_the_hub_does_not_have_or_give_is_said_plainly(
    cache: Path, repository: str, revision: str, name: str, said: str
) -> None:
    with pytest.raises(HubError, match=f"^{repository} at {revision}: .*{said}.*{PLACE}"):
        fetch(repository, revision, [name], PLACE)


def test_a_server_that_is_no_mirror_of_the_hub_is_refused(hub: FakeHub, cache: Path) -> None:
    hub.etag["config.json"] = "1-abc"
    with pytest.raises(HubError, match=r"ETag '1-abc'.*HF_ENDPOINT"):
        get()
    hub.etag["config.json"], hub.commit = checksum("config.json", FILES["config.json"]), COMMIT[::-1]
    with pytest.raises(HubError, match=f"commit {COMMIT[::-1]}"):
        get()


# ----------------------------------------------------------------------------------------------- datasets' repositories


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_file_of_a_dataset_is_brought_once_from_a_branch_or_a_commit(
    hub: FakeHub, cache: Path, revision: str
) -> None:
    file = fetch_dataset(REPOSITORY, revision, LARGE)
    assert file.read_bytes() == FILES[LARGE]
    assert "datasets--owner--model" in file.parts
    assert COMMIT in file.parts
    assert fetch_dataset(REPOSITORY, revision, LARGE) == file
    assert len(hub.bodies(LARGE)) == 1
    assert all(one.path.startswith(("/datasets/", "/cdn/")) for one in hub.requests)


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_file_of_a_dataset_in_the_cache_is_found_without_a_server(hub: FakeHub, cache: Path, revision: str) -> None:
    assert cached_dataset(REPOSITORY, revision, LARGE) is None
    assert not hub.requests
    hf_hub_download(REPOSITORY, LARGE, repo_type="dataset")
    asked = len(hub.requests)
    found = cached_dataset(REPOSITORY, revision, LARGE)
    assert found is not None
    assert found.read_bytes() == FILES[LARGE]
    found.resolve().write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged: its content has the checksum"):
        cached_dataset(REPOSITORY, revision, LARGE)
    assert len(hub.requests) == asked


def test_a_cut_file_of_a_dataset_goes_on_where_it_stopped(hub: FakeHub, cache: Path) -> None:
    hub.cut_at = 300_000
    assert fetch_dataset(REPOSITORY, COMMIT, LARGE).read_bytes() == FILES[LARGE]
    assert [one.range for one in hub.bodies(LARGE)] == [None, "bytes=300000-"]


def test_what_a_dataset_does_not_have_is_said_without_advice_for_weights(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(HubError, match=r"owner/model at main: no\.zip: the repository has no such file") as caught:
        fetch_dataset(REPOSITORY, "main", "no.zip")
    assert "folder:" not in str(caught.value)
