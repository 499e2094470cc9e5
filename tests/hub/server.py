"""A Hugging Face Hub on loopback for the unmodified clients; it keeps what is published and fails when told.

Datasets have commits with parents, branches, tags and pull requests; accounts have tokens; large files go
to signed addresses. `python -m tests.hub.server` serves one by hand, until it is interrupted.
"""

import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.hub import reading, writing
from tests.hub.repositories import Dataset
from tests.hub.wire import Account, Answer, Fault, RateLimit, Refused, Request

TOKEN = "hf_written_never_shown"
READ_TOKEN = "hf_read_never_shown"

_DATASET = r"/api/datasets/(?P<name>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
_LFS = r"/datasets/(?P<name>[^/]+/[^/]+)\.git/info/lfs"
_OBJECT = r"/lfs/(?P<name>[^/]+/[^/]+)/(?P<oid>\w+)"

ROUTES = [
    ("GET", "/api/whoami-v2", reading.whoami),
    ("GET", _DATASET, reading.repository),
    ("GET", f"{_DATASET}/revision/{_REVISION}", reading.repository),
    ("GET", f"{_DATASET}/tree/{_REVISION}(?:/(?P<folder>.*))?", reading.tree),
    ("POST", f"{_DATASET}/paths-info/{_REVISION}", reading.paths_info),
    ("GET", f"{_DATASET}/refs", reading.refs),
    ("GET", f"{_DATASET}/commits/{_REVISION}", reading.commits),
    ("GET", f"{_DATASET}/discussions", reading.discussions),
    (
        "GET",
        f"/datasets/(?P<name>[^/]+/[^/]+)/resolve/{_REVISION}/(?P<path>.+)",
        reading.resolve,
    ),
    ("POST", "/api/repos/create", writing.create),
    ("POST", "/api/validate-yaml", writing.validate_yaml),
    ("POST", f"{_DATASET}/preupload/{_REVISION}", writing.preupload),
    ("POST", f"{_DATASET}/commit/{_REVISION}", writing.commit),
    ("POST", f"{_DATASET}/branch/(?P<branch>[^/]+)", writing.branch),
    ("POST", f"{_DATASET}/tag/{_REVISION}", writing.tag),
    ("GET", f"{_DATASET}/xet-write-token/{_REVISION}", writing.xet_token),
    ("POST", f"{_LFS}/objects/batch", writing.lfs_batch),
    ("POST", f"{_LFS}/verify", writing.lfs_verify),
    ("PUT", f"{_OBJECT}(?:/(?P<part>[0-9]+))?", writing.lfs_put),
    ("POST", _OBJECT, writing.lfs_complete),
]


class Logged(NamedTuple):
    """A request that was answered, or broken off."""

    method: str
    path: str
    """With the query."""
    status: int
    """0 if the connection was broken off."""
    served: int
    """Bytes of a file's content."""
    received: int
    """Bytes of its body."""


@dataclass
class Hub:
    """The server's content, how it behaves and what it was asked."""

    url: str = ""
    datasets: dict[str, Dataset] = field(default_factory=dict)
    accounts: dict[str, Account] = field(
        default_factory=lambda: {TOKEN: Account(), READ_TOKEN: Account("reader", writes=False)}
    )
    requests: list[Logged] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """The first that hits a request is done to it."""
    listeners: list[Callable[[str, str], None]] = field(default_factory=list)
    """Told of every request before it is looked at."""
    limit: RateLimit | None = None
    page: int = 1000
    """Entries of one answer; the rest is asked for."""
    part_bytes: int = 1_000_000_000
    """Larger files are put in pieces."""
    xet: str | None = None
    """A folder that takes large files in Xet's way; they are not served."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def served(self, part=""):
        """Bytes of content served by requests with this in their path."""
        return sum(each.served for each in self.requests if part in each.path)

    def count(self, method, pattern):
        """How many requests there were of a kind."""
        found = (each for each in self.requests if each.method == method)
        return sum(bool(re.search(pattern, each.path)) for each in found)

    def uploads(self):
        """The names (sha256) of the large files that were put as a whole, once for each time."""
        done = [each for each in self.requests if (each.method, each.status) == ("PUT", 200)]
        names = [re.match(r"/lfs/[^/]+/[^/]+/(\w+)\?", each.path) for each in done]
        return [name[1] for name in names if name]

    @contextmanager
    def failing(self, *faults):
        """Do these to requests until the block ends."""
        self.faults += faults
        try:
            yield self
        finally:
            self.faults.clear()

    def answer(self, request):
        """Do what is asked."""
        if self.limit and request.path.startswith("/api/") and (wait_s := self.limit.wait_s()):
            headers = {"RateLimit": f'"api";r=0;t={int(wait_s)}'}
            return Refused(429, "You have hit the rate limit", headers=headers).answer
        method = "GET" if request.method == "HEAD" else request.method
        for wanted, pattern, act in ROUTES:
            if wanted == method and (found := re.fullmatch(pattern, request.path)):
                named = {
                    key: value for key, value in found.groupdict().items() if value is not None
                }
                try:
                    with self.lock:
                        return act(request, **named)
                except Refused as refused:
                    return refused.answer
        return Refused(404, "Not Found").answer


@contextmanager
def running_hub():
    """A hub that answers until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.handle_error = lambda request, address: None  # of connections that were broken off
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.daemon = True
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # its headers and its body are two packets

    def log_message(self, format, *args):
        """Nothing on the terminal."""

    def do_POST(self):
        for listener in list(self.hub.listeners):
            listener(self.command, self.path)
        with self.hub.lock:
            hit = (each for each in self.hub.faults if each.hits(self.command, self.path))
            fault = next(hit, None)
        if fault is not None and fault.kind == "reset":
            return self._break_off(read=int(self.headers.get("Content-Length", 0)) // 2)
        request = Request(self.hub, self.command, self.path, self.headers, self._body())
        if fault is None:
            return self._send(request, self.hub.answer(request))
        if fault.kind.isdigit():
            told = Refused(int(fault.kind), fault.message, fault.code, fault.headers)
            return self._send(request, told.answer)
        time.sleep(fault.seconds)
        answer = self.hub.answer(request)
        if fault.kind == "hang_up":
            return self._break_off()
        if fault.kind == "forget":
            answer = Refused(500, fault.message, fault.code, fault.headers).answer
        if fault.kind in ("malformed", "empty"):
            body = b"<html>try later</html>" if fault.kind == "malformed" else b"{}"
            answer = Answer(200, body, {"Content-Type": "application/json"})
        return self._send(request, answer, half=fault.kind == "truncate")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, request, answer, *, half=False):
        sent = answer.body if self.command != "HEAD" else b""
        served = len(sent) if answer.is_content else 0
        self._log(answer.status, served, len(request.body))
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent[: len(sent) // 2] if half else sent)
        self.close_connection |= half

    def _break_off(self, *, read=0):
        """Close the connection with a reset, and end the thread that serves it."""
        self._log(0, 0, len(self.rfile.read(read)))
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        os.close(self.connection.detach())
        raise ConnectionResetError("told to")

    def _log(self, status, served, received):
        self.hub.requests.append(Logged(self.command, self.path, status, served, received))


def main():
    """Serve an empty hub until it is interrupted."""
    with running_hub() as hub:
        sys.stdout.write(json.dumps({"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
