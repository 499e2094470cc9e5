"""Inputs on Google Cloud Storage: its API on loopback, read by the unmodified client."""

import socket
import urllib.request

import pytest
from gcp_storage_emulator.server import create_server

from tests.storage.test_streams import WIDE, jsonl, read, traces


@pytest.fixture(scope="module")
def gs():
    """The environment with which a client finds the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="inputs")
    server.start()
    for name, content in (("data/a.parquet", WIDE), ("data/c.jsonl", jsonl(traces(20)))):
        url = f"http://127.0.0.1:{port}/upload/storage/v1/b/inputs/o?uploadType=media&name={name}"
        kind = {"Content-Type": "application/octet-stream"}
        urllib.request.urlopen(urllib.request.Request(url, data=content, headers=kind)).close()
    yield {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GS": '{"token": "anon"}',
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks a service that is not emulated
        "NO_GCE_CHECK": "true",
    }
    server.stop()


def test_gs_folders_and_globs_are_read(gs):
    found = read("gs://inputs/data", gs)
    assert found["rows"] == {"gs://inputs/data/a.parquet": 80, "gs://inputs/data/c.jsonl": 20}
    assert all("etag" in fingerprint for fingerprint in found["fingerprints"])
    assert read("gs://inputs/data/*.jsonl", gs)["rows"] == {"gs://inputs/data/c.jsonl": 20}


def test_what_gs_does_not_have_is_told(gs):
    error = read("gs://inputs/none.jsonl", gs)["error"]
    assert error == "InputError: input.path: gs://inputs/none.jsonl does not exist"
