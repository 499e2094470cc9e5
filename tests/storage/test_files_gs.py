"""A store on Google Cloud Storage: its API on loopback, with the unmodified client in a process of its own.

(The client reads its settings when it is imported.)
"""

import json
import os
import socket
import subprocess
import sys

import pytest
from gcp_storage_emulator.server import create_server

SCRIPT = """
import json
import gcsfs
from rdpt_ray.storage.files import open_root

asked, call = [], gcsfs.GCSFileSystem._call

async def spy(self, method, path, *args, **kwargs):
    asked.append(kwargs.get("ifGenerationMatch"))
    return await call(self, method, path, *args, **kwargs)

root = open_root("gs://store/run", patience_s=1)
found = {"at first": root.names("")}
for name in ("a/one", "a/b/two", "a-sibling"):
    root.write_bytes(name, name.encode())
found["names"] = root.names("a")
found["exist"] = [root.exists("a/one"), root.exists("a/none")]
found["many"] = sorted(root.read_many(["a/one", "a/none", "a/b/two"]))
with root.opened("a/b/two") as stream:
    stream.seek(2)
    found["pieces"] = (stream.read(1) + stream.read()).decode()
root.delete("a/one")
root.delete("a/one")
found["at last"] = root.names("a")
try:
    root.read_bytes("a/one")
except OSError as error:
    found["gone"] = str(error)
gcsfs.GCSFileSystem._call = spy
found["created"] = root.create("claim", b"mine")
found["condition"] = asked[-1]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """What a process did and saw in an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="store")
    server.start()
    environment = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GS": '{"token": "anon"}',
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks a service that is not emulated
        "NO_GCE_CHECK": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    server.stop()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_files_come_and_go(found):
    assert found["at first"] == []
    assert found["names"] == ["a/b/two", "a/one"]
    assert found["exist"] == [True, False]
    assert found["many"] == ["a/b/two", "a/one"]
    assert found["pieces"] == "b/two"
    assert found["at last"] == ["a/b/two"]
    assert found["gone"].startswith("gs://store/run/a/one: cannot be read: ")


def test_put_if_absent_is_asked_for(found):
    """The emulator does not honour the condition, so only that it is asked for can be seen here."""
    assert found["created"]
    assert found["condition"] == "0"
