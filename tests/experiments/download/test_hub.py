"""The hub is a server on this machine. Where the environment is what is tested the client is another process, for
huggingface_hub reads it when it is imported."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants, hf_hub_download

from benchmark.datasets import vhr10
from benchmark.datasets.spec import Hub, Spec
from experiments.download import hub as download
from experiments.download.datasets import download_dataset
from experiments.download.hub import HubError, cached_dataset, fetch, fetch_dataset, newest_commit
from experiments.errors import InputError
from models.checkpoint import CheckpointError
from tests.experiments.download.fake_hub import COMMIT, FILES, LARGE, REPOSITORY, FakeHub, Handler, checksum
from tests.layouts import write_vhr10

ROOT = Path(__file__).parents[3]
PLACE = "foundation.rsrefseg-b.source.clip"
CLIENT = f"""
import json
from experiments.download import hub
try:
    files = hub.fetch("{REPOSITORY}", "{COMMIT}", {list(FILES)}, "{PLACE}")
    print(json.dumps({{"files": {{name: str(file) for name, file in files.items()}}}}))
except hub.HubError as error:
    print(json.dumps({{"error": str(error)}}))
"""


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
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=lambda _: None))  # between two tries
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


def test_a_download_that_was_killed_goes_on_in_the_next_process_and_then_needs_no_server(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.cut_at, hub.stall = 1_000_000, True
    command, env = [sys.executable, "-c", CLIENT], environment(tmp_path, hub.address)
    killed = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    part, deadline = blobs(tmp_path) / f"{hub.etag[LARGE]}.incomplete", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    first = client(tmp_path, hub.address)
    assert content(first) == FILES
    _, second = hub.bodies(LARGE)
    assert second.range == "bytes=1000000-"
    assert second.sent == len(FILES[LARGE]) - 1_000_000
    assert not part.exists()
    assert len(hub.bodies("config.json")) == 1  # it was there already
    assert client(tmp_path, closed_port(), HF_HUB_OFFLINE="1") == first


# -------------------------------------------------------------------------------------------------------- this process


def test_files_are_brought_once(hub: FakeHub, cache: Path) -> None:
    assert get() == FILES
    assert [one.sent for one in hub.bodies()] == [len(body) for body in FILES.values()]
    asked = len(hub.requests)
    assert get() == FILES
    assert len(hub.requests) == asked


def test_without_a_network_the_message_comes_in_seconds_and_says_what_to_do(
    subtests: pytest.Subtests, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = closed_port()
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    for offline, why in ((False, f"{address} cannot be reached"), (True, "HF_HUB_OFFLINE")):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with subtests.test(msg=why):
            started = time.monotonic()
            with pytest.raises(HubError) as refused:
                get()
            assert time.monotonic() - started < 20
            for part in (REPOSITORY, COMMIT, *FILES, why, f"{PLACE}: {{folder: PATH}}"):
                assert part in str(refused.value)


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


def test_a_server_that_knows_no_ranges_sends_the_whole_file_again(hub: FakeHub, cache: Path) -> None:
    hub.cut_at, hub.ranges = 1_000_000, False
    assert get() == FILES
    assert [(one.range, one.sent) for one in hub.bodies(LARGE)] == [
        (None, 1_000_000), ("bytes=1000000-", len(FILES[LARGE])),
    ]  # fmt: skip


def test_a_server_that_only_stumbles_is_given_up_and_what_came_is_kept(hub: FakeHub, cache: Path) -> None:
    part = blobs(cache) / f"{hub.etag[LARGE]}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:700])
    hub.busy = True
    with pytest.raises(
        HubError, match=r"(?s)cut off .*; 700 of 2,097,152 bytes are kept and the next run goes on from"
    ):
        get()
    assert len([one for one in hub.requests if one.path.startswith("/cdn/")]) == download.ATTEMPTS
    hub.busy = False
    assert get() == FILES
    assert [one.range for one in hub.bodies(LARGE)] == ["bytes=700-"]


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


def test_a_damaged_file_of_the_cache_is_refused_and_says_what_to_delete(
    subtests: pytest.Subtests, hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, offline in itertools.product(FILES, (False, True)):
        assert get() == FILES
        blob = blobs(cache) / hub.etag[name]
        damaged = blob.read_bytes()[:-1] + b"?"
        blob.write_bytes(damaged)
        with subtests.test(msg=f"{name}, offline {offline}"), monkeypatch.context() as patch:
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


def test_what_the_hub_does_not_have_or_give_is_said_plainly(subtests: pytest.Subtests, cache: Path) -> None:
    for repository, revision, name, said in (
        ("owner/unheard_of", COMMIT, "config.json", "knows no such repository"),
        ("owner/gated", COMMIT, "config.json", "on request: ask for access on its page, and set HF_TOKEN"),
        ("owner/refused", COMMIT, "config.json", "answers 403: ask for access on its page, and set HF_TOKEN"),
        (REPOSITORY, COMMIT[::-1], "config.json", "the repository has no such commit"),
        (REPOSITORY, COMMIT, "tokenizer.json", "tokenizer.json: the repository has no such file at that commit"),
    ):
        match = f"^{repository} at {revision}: .*{said}.*{PLACE}"
        with subtests.test(msg=said), pytest.raises(HubError, match=match):
            fetch(repository, revision, [name], PLACE)


def test_the_newest_commit_is_asked_of_the_hub_and_nothing_is_downloaded(hub: FakeHub, cache: Path) -> None:
    assert newest_commit(REPOSITORY, list(FILES), PLACE) == COMMIT
    assert [one.method for one in hub.requests] == ["HEAD"]
    with pytest.raises(HubError, match=rf"^owner/gated at main: config.json: .*by hand.*{PLACE}"):
        newest_commit("owner/gated", list(FILES), PLACE)
    hub.commit = "main"
    with pytest.raises(HubError, match=rf"its commit is 'main', which is none; write {PLACE}\.revision"):
        newest_commit(REPOSITORY, list(FILES), PLACE)


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


def test_vhr10_comes_from_the_hub_as_its_reader_wants_it(hub: FakeHub, cache: Path, tmp_path: Path) -> None:
    write_vhr10(tmp_path / "there", scenes=2)
    lain = tmp_path / "there" / vhr10.FOLDER
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", lain.parent, f"{vhr10.FOLDER}/positive image set")
    content = {f"{vhr10.FOLDER}.zip": Path(archive).read_bytes()}
    content["annotations.json"] = (lain / "annotations.json").read_bytes()
    hub.content.update(content)
    hub.etag.update({name: checksum(name, body) for name, body in content.items()})

    def declared(**changes: str) -> Spec:
        origin = Hub(repository=REPOSITORY, revision=COMMIT)
        files = []
        for file in vhr10.SPEC.files:
            facts = {"md5": hashlib.md5(content[file.name]).hexdigest(), "sha256": None, **changes}
            files.append(file.model_copy(update={"origin": origin, **facts}))
        return vhr10.SPEC.model_copy(update={"files": tuple(files)})

    with pytest.raises(InputError, match=r"dataset\.zip: MD5 is [0-9a-f]{32}, declared is 0000"):
        download_dataset(declared(md5="0" * 32), tmp_path / "refused")
    assert not list((tmp_path / "refused").rglob("*.jpg"))
    root = tmp_path / "raw"
    for _ in range(2):
        download_dataset(declared(), root)
    assert len(hub.bodies()) == 2
    config = vhr10.VHR10Config(root=str(root), allow_count_mismatch=True)
    assert (root / config.annotations).read_bytes() == content["annotations.json"]
    assert {path.name for path in (root / config.images).iterdir()} == {path.name for path in lain.rglob("*.jpg")}


def test_what_a_dataset_does_not_have_is_said_without_advice_for_weights(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(HubError, match=r"owner/model at main: no\.zip: the repository has no such file") as caught:
        fetch_dataset(REPOSITORY, "main", "no.zip")
    assert "folder:" not in str(caught.value)
