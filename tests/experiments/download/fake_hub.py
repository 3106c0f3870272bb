"""A server that speaks as much of the hub's protocol as is needed: small files come from it, large ones by a
redirection from another host, each with the checksum by which it is known."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

REPOSITORY, COMMIT = "owner/model", "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b'{"model_type": "fake"}', "model.safetensors": bytes(range(256)) * 8192}  # 2 MiB
LARGE = "model.safetensors"


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
    busy: bool = False  # the host of large files answers that it is
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
            return self.refuse(503, "Busy") if self.hub.busy else self.body(LARGE)
        repository, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, name = unquote(rest).partition("/")
        if repository in (REPOSITORY, f"datasets/{REPOSITORY}"):
            repository, revision = REPOSITORY, COMMIT if revision == "main" else revision
        if repository == "owner/gated":
            return self.refuse(403, "GatedRepo")
        if repository == "owner/refused":
            return self.refuse(403, "None")
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
