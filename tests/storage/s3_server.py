"""A real S3 API on loopback (moto) that counts the bytes of content that it serves."""

import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY, SECRET = "test-key-id", "test-secret-never-shown"


@dataclass
class S3:
    """The server and what it served."""

    url: str = ""
    gets: list[tuple[str, int]] = field(default_factory=list)
    """Path and bytes of every GET."""

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
def running_s3():
    """A server that answers until the block ends."""
    s3 = S3()
    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()
    """For writes: moto looks whether a key is there and then puts it, where S3 does both in one step."""

    def counting(environ, start_response):
        def start(status, headers, exc_info=None):
            if environ["REQUEST_METHOD"] == "GET" and status.startswith("2"):
                length = int(dict(headers).get("Content-Length", 0))
                s3.gets.append((environ["PATH_INFO"], length))
            return start_response(status, headers, exc_info)

        if environ["REQUEST_METHOD"] != "PUT":
            return moto(environ, start)
        with one_at_a_time:
            return moto(environ, start)

    server = make_server("127.0.0.1", 0, counting, threaded=True)
    server.log_startup = lambda: None
    s3.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
