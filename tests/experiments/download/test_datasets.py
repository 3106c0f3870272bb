"""Files of a dataset from a server on this machine: once, resumed, checked, unpacked; without it, the steps by hand."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmark.datasets import DATASETS
from benchmark.datasets.spec import Drive, File, Hub, Spec
from experiments.download import datasets as downloads
from experiments.download.datasets import MissingFilesError, download_dataset
from experiments.errors import InputError

BODY = bytes(range(256)) * 16384  # 4 MiB


def zipped(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in content.items():
            archive.writestr(name, body)
    return stream.getvalue()


@dataclass
class Server:
    """A host of files by id."""

    content: dict[str, bytes]
    cut_at: int | None = None  # the next body ends here
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server({"refs": BODY, "pictures": zipped({"top/JPEGImages/1.jpg": b"1", "top/readme": b""})})

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name, wanted = self.path.split("id=")[-1], self.headers.get("Range")
            state.requests.append((name, wanted))
            if name not in state.content:
                self.send_error(404)
                return
            body = state.content[name]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Disposition", f'attachment; filename="{name}"')
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            end, state.cut_at = state.cut_at, None
            with contextlib.suppress(ConnectionError):  # who asks may go away
                self.wfile.write(body[start:end])
            if end is not None:
                self.close_connection = True

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{host.server_port}"
    monkeypatch.setattr(downloads, "DRIVE", state.address + "/uc?id={id}")
    yield state
    host.shutdown()
    host.server_close()


def spec(**changes: Any) -> Spec:
    files = (
        File(name="refs(unc).p", origin=Drive(id="refs"), into="rrsisd", size=len(BODY)),
        File(name="JPEGImages.zip", origin=Drive(id="pictures"), into="images", holds=("JPEGImages",)),
        File(name="unread.zip", origin=Drive(id="unread"), needed=False),
    )
    about = {"name": "fake", "title": "Fake", "source": "https://example.org", "licence": "CC0", "citation": "nobody"}
    return Spec.model_validate({**about, "how": "lay them into {root}", "files": files, **changes})


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_are_brought_unpacked_and_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    download_dataset(spec(), tmp_path)
    assert content(tmp_path)["rrsisd/refs(unc).p"] == BODY
    assert content(tmp_path)["images/JPEGImages/1.jpg"] == b"1"
    assert [name for name, _ in server.requests] == ["refs", "pictures"]
    download_dataset(spec(), tmp_path)
    download_dataset(spec(), tmp_path, offline=True)
    assert len(server.requests) == 2


def test_what_is_there_by_hand_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rrsisd").mkdir()
    (tmp_path / "rrsisd/refs(unc).p").write_bytes(BODY)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/JPEGImages.zip").write_bytes(server.content["pictures"])
    download_dataset(spec(), tmp_path, offline=True)
    assert content(tmp_path)["images/JPEGImages/1.jpg"] == b"1"
    assert not server.requests


KILLED = """
import os, signal, sys
from pathlib import Path
from experiments.download import archives
archives._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]), ["JPEGImages"])
"""


def test_what_a_killed_process_left_of_unpacking_goes_with_the_next_fetch(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "root" / "images"
    place.mkdir(parents=True)
    (tmp_path / "JPEGImages.zip").write_bytes(server.content["pictures"])
    command = [sys.executable, "-c", KILLED, str(tmp_path / "JPEGImages.zip"), str(place)]
    assert subprocess.run(command, cwd=Path(__file__).parents[3]).returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    used = place / f".unpacking.part-{os.getpid()}x"  # no process's: whose it is, is not known
    used.mkdir()
    download_dataset(spec(), tmp_path / "root")
    assert f"removed {left}, left by a process that was killed" in capsys.readouterr().out.replace("\n", " ")
    assert sorted(path.name for path in place.iterdir()) == [used.name, "JPEGImages", "JPEGImages.zip"]


def test_a_cut_download_goes_on_where_it_stopped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, server.cut_at = downloads.gdown.download, 3_000_000
    monkeypatch.setattr(downloads.gdown, "download", lambda *a, **k: real(*a, **{**k, "retries": 0}))
    with pytest.raises(MissingFilesError, match="needs refs"):
        download_dataset(spec(), tmp_path)
    assert not (tmp_path / "rrsisd/refs(unc).p").exists()
    download_dataset(spec(), tmp_path)
    assert content(tmp_path)["rrsisd/refs(unc).p"] == BODY
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _, wanted in server.requests if wanted]
    assert len(starts) == 1
    assert 0 < starts[0] <= 3_000_000


def test_a_server_that_stumbles_is_asked_again_in_one_go(server: Server, tmp_path: Path) -> None:
    server.cut_at = 3_000_000
    download_dataset(spec(), tmp_path)
    assert content(tmp_path)["rrsisd/refs(unc).p"] == BODY


def test_other_content_than_declared_is_refused(subtests: pytest.Subtests, server: Server, tmp_path: Path) -> None:
    facts: list[tuple[str, Any, str]] = [
        ("size", 5, r"size is 4194304, declared is 5; delete it and fetch it again"),
        ("sha256", "0" * 64, rf"SHA-256 is {hashlib.sha256(BODY).hexdigest()}, declared is 000"),
    ]
    for name, declared, message in facts:
        with subtests.test(msg=name):
            root, asked = tmp_path / name, len(server.requests)
            file = File.model_validate({"name": "refs.p", "origin": Drive(id="refs"), name: declared})
            for offline in (False, False, True):  # what came lies at its place, and is never taken
                with pytest.raises(InputError, match=message):
                    download_dataset(spec(files=(file,)), root, offline)
            assert len(server.requests) == asked + 1
            (root / "refs.p").unlink()
            with pytest.raises(InputError, match=message):
                download_dataset(spec(files=(file,)), root)
            assert len(server.requests) == asked + 2


def test_what_is_laid_there_by_hand_is_checked_as_well(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rrsisd").mkdir()
    (tmp_path / "rrsisd/refs(unc).p").write_bytes(BODY[:-1])
    with pytest.raises(InputError, match=r"refs\(unc\)\.p: size is 4194303, declared is 4194304; delete it and fetch"):
        download_dataset(spec(), tmp_path)
    pictures = File(name="a.zip", origin=Drive(id="pictures"), holds=("JPEGImages",), sha256="0" * 64)
    (tmp_path / "a.zip").write_bytes(server.content["pictures"])
    with pytest.raises(InputError, match=r"a\.zip: SHA-256 is .*, declared is 000"):
        download_dataset(spec(files=(pictures,)), tmp_path)
    assert not (tmp_path / "JPEGImages").exists()
    assert not server.requests


def test_a_checksum_that_is_not_published_is_said_so_that_it_can_be(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download_dataset(spec(), tmp_path)
    assert hashlib.sha256(BODY).hexdigest() in capsys.readouterr().out


def test_a_file_that_the_server_does_not_give_is_named_with_the_steps_by_hand(server: Server, tmp_path: Path) -> None:
    del server.content["pictures"]
    with pytest.raises(MissingFilesError, match=r"needs JPEGImages\.zip: it cannot be fetched .*404") as caught:
        download_dataset(spec(), tmp_path)
    said = str(caught.value)
    assert f"lay them into {tmp_path}" in said
    assert f"{tmp_path}/rrsisd/refs(unc).p (4,194,304 bytes, {server.address}/uc?id=refs): is there" in said
    assert f"{tmp_path}/images/JPEGImages.zip (size not published, {server.address}/uc?id=pictures)" in said
    assert "unread" not in said


def point_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One host for everything."""
    monkeypatch.setattr(downloads, "DRIVE", address + "/uc?id={id}")
    monkeypatch.setattr(downloads.hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        downloads.hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/{revision}/{filename}"
    )


def test_without_a_network_the_steps_come_within_seconds(
    subtests: pytest.Subtests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    point_at(address, monkeypatch)
    for name in ("rrsisd", "refsegrs"):
        with subtests.test(msg=name):
            declared = DATASETS[name].spec
            assert declared is not None
            started = time.monotonic()
            with pytest.raises(MissingFilesError) as caught:
                download_dataset(declared, tmp_path / name)
            assert time.monotonic() - started < 20
            said = str(caught.value)
            assert f"{name} needs" in said
            assert declared.source in said
            for file in declared.files:
                assert (str(tmp_path / name / file.into / file.name) in said) == file.needed


def test_a_host_that_takes_calls_in_silence_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        point_at(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        monkeypatch.setattr(downloads, "PATIENCE", 0.2)
        started = time.monotonic()
        with pytest.raises(MissingFilesError, match=r"needs refs.* \(.*timed out.*\)\. By hand: "):
            download_dataset(spec(), tmp_path)
        assert time.monotonic() - started < 20


def test_offline_nothing_is_tried(subtests: pytest.Subtests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setattr(downloads.gdown, "download", never)
    monkeypatch.setattr(downloads.hub, "fetch_dataset", never)
    monkeypatch.setattr(downloads.hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("rrsisd", "refsegrs", "risbench"):
        why = "it can be got by hand only" if name == "risbench" else "--offline forbids to fetch it"
        declared = DATASETS[name].spec
        assert declared is not None
        with subtests.test(msg=name), pytest.raises(MissingFilesError, match=why):
            download_dataset(declared, tmp_path / name, offline=True)


def test_a_file_of_the_hub_comes_through_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "cache" / "Fake.zip"
    cached.parent.mkdir()
    cached.write_bytes(zipped({"Fake/images/1.tif": b"1", "Fake/phrases.txt": b"a"}))
    asked = []

    def fetch_dataset(*arguments: str) -> Path:
        asked.append(arguments)
        return cached

    monkeypatch.setattr(downloads.hub, "fetch_dataset", fetch_dataset)
    file = File(name="Fake.zip", origin=Hub(repository="owner/fake"), holds=("images", "phrases.txt"))
    for _ in range(2):
        download_dataset(spec(files=(file,)), tmp_path / "root")
    assert asked == [("owner/fake", "main", "Fake.zip")]
    assert content(tmp_path / "root") == {"images/1.tif": b"1", "phrases.txt": b"a"}


def test_offline_a_file_in_the_hubs_cache_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "Fake.zip"
    cached.write_bytes(zipped({"images/1.tif": b"1"}))
    monkeypatch.setattr(
        downloads.hub, "cached_dataset", lambda *asked: {("owner/fake", "main", "Fake.zip"): cached}[asked]
    )
    file = File(name="Fake.zip", origin=Hub(repository="owner/fake"), holds=("images",))
    download_dataset(spec(files=(file,)), tmp_path / "root", offline=True)
    assert content(tmp_path / "root") == {"images/1.tif": b"1"}
    with pytest.raises(InputError, match="SHA-256"):
        download_dataset(spec(files=(file.model_copy(update={"sha256": "0" * 64}),)), tmp_path / "other", offline=True)


def test_a_declaration_that_makes_no_sense_is_refused(subtests: pytest.Subtests) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"homepage": "x"}, "homepage"),
        ({"superseded_by": "fake"}, "fake is superseded by itself"),
        ({"counts": {"train": 0}}, "counts.train"),
        ({"counts": {"trian": 5}}, "counts.trian"),
        ({"name": "Not A Name"}, "name"),
        ({"files": [{"name": "a", "origin": None, "sha256": "abc"}]}, "sha256"),
        ({"files": [{"name": "a", "origin": {"id": "1", "page": 2}}]}, "page"),
    ]
    for changes, message in faults:
        with subtests.test(msg=str(changes)), pytest.raises(ValueError, match=message):
            spec(**changes)
