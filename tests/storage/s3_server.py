"""A real S3 API on loopback (moto) that counts the bytes it serves and fails when it is told to."""

import os
import re
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY, SECRET = "test-key-id", "test-secret-never-shown"

ALWAYS = 10**9
"""As many requests as anybody makes."""


@dataclass
class Fault:
    """What to do to the next requests of a kind.

    Attributes:
        kind: `500`, `503`, `403`, `409`, `412`: answer that. `slow`: answer late. `reset`: break the
            connection off. `truncate`: send half of the body. `forget`: do what is asked and answer 500.
            `hang_up`: do what is asked and break the connection off.
        method: Pattern of the whole method.
        path: Pattern that is found in `path?query`.
        times: How many requests.
        seconds: How late.
    """

    kind: str
    method: str = ".*"
    path: str = ""
    times: int = 1
    seconds: float = 0.0

    def hits(self, method, path):
        """Whether a request is one of them."""
        return self.times > 0 and re.fullmatch(self.method, method) and re.search(self.path, path)


@dataclass
class S3:
    """The server and what it served."""

    url: str = ""
    gets: list[tuple[str, int]] = field(default_factory=list)
    """Path and bytes of every GET."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and `path?query` of every request, failed ones too."""
    faults: list[Fault] = field(default_factory=list)
    """The first that hits a request is done to it."""

    def served(self, key):
        """Bytes served of one key."""
        return sum(count for path, count in self.gets if path.endswith(key))

    def client(self):
        """A client that is logged in."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def environment(self):
        """The environment variables with which a client finds the server and logs in."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def check_logins(self, after):
        """Whether requests after so many more are refused without a valid login."""
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth",
            data=str(after).encode(),
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()

    @contextmanager
    def failing(self, *faults):
        """Do these to requests until the block ends."""
        self.faults += faults
        try:
            yield self
        finally:
            self.faults.clear()

    def drawn(self, method, path):
        """The fault that hits a request, one less of them left."""
        self.requests.append((method, path))
        for fault in self.faults:
            if fault.hits(method, path):
                fault.times -= 1
                return fault
        return None


App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def counting(s3, app) -> App:
    """An application that notes what it serves."""

    def serve(environ, start_response):
        def start(status, headers, exc_info=None):
            if environ["REQUEST_METHOD"] == "GET" and status.startswith("2"):
                length = int(dict(headers).get("Content-Length", 0))
                s3.gets.append((environ["PATH_INFO"], length))
            return start_response(status, headers, exc_info)

        return app(environ, start)

    return serve


def one_write_at_a_time(app) -> App:
    """Moto looks whether a key is there and then puts it, where S3 does both in one step."""
    writing = threading.Lock()

    def serve(environ, start_response):
        if environ["REQUEST_METHOD"] != "PUT":
            return app(environ, start_response)
        with writing:
            return app(environ, start_response)

    return serve


def failing(s3, app) -> App:
    """An application that fails when it is told to."""
    drawing = threading.Lock()

    def serve(environ, start_response):
        method = environ["REQUEST_METHOD"]
        with drawing:
            fault = s3.drawn(method, f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        if fault is None:
            return app(environ, start_response)
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            return app(environ, start_response)
        if fault.kind == "truncate":
            body = b"".join(app(environ, start_response))
            return [body[: len(body) // 2]]  # of the length that was announced
        if fault.kind in ("forget", "hang_up"):
            b"".join(app(environ, lambda status, headers, exc_info=None: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault.kind in ("reset", "hang_up"):
            break_off(environ["werkzeug.socket"])
        return refused(fault.kind, method, start_response)

    return serve


def break_off(connection):
    """Close a connection with a reset, and end the thread that serves it."""
    at_once = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    os.close(connection.detach())
    raise ConnectionResetError("told to")


def refused(kind, method, start_response):
    """An error as S3 words it."""
    status, code = {
        "403": ("403 Forbidden", "AccessDenied"),
        "409": ("409 Conflict", "ConditionalRequestConflict"),
        "412": (
            "412 Precondition Failed",
            "PreconditionFailed",
        ),  # as MinIO says it: of no condition
        "503": ("503 Slow Down", "SlowDown"),
    }.get(kind, ("500 Internal Server Error", "InternalError"))
    body = f"<Error><Code>{code}</Code><Message>told to fail</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [] if method == "HEAD" else [body]


@contextmanager
def running_s3():
    """A server that answers until the block ends."""
    s3 = S3()
    moto = one_write_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counting(s3, failing(s3, moto)), threaded=True)
    server.log_startup = lambda: None
    server.handle_error = lambda request, address: None  # of connections that were broken off
    s3.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
