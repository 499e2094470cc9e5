"""Tokens and logins that a job is given: none is in anything that it writes, prints or leaves with Ray."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.pipeline.chaos_world import RDPT
from tests.pipeline.conftest import config_tree, miniature_rows
from tests.storage.s3_server import running_s3

HUB = "hf_CANARYaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
KEY = "sk-CANARY-bbbbbbbbbbbbbbbbbbbbbbbb"
RAY = "CANARY-ray-token-".ljust(64, "c")
CANARY = b"CANARY"


@pytest.fixture
def ray_folder():
    """Where Ray leaves its logs; a socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_secret_is_written_anywhere(tmp_path, ray_folder):
    """The S3 login is a part of the store's own options; the others are in the environment."""
    tree = config_tree(tmp_path, rows=miniature_rows(0, 24), actors=1)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    with running_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="rdpt")
        environment = os.environ | server.environment()
        environment |= {
            "HF_TOKEN": HUB,
            "OPENAI_API_KEY": KEY,
            "RAY_AUTH_TOKEN": RAY,
            "RAY_TMPDIR": str(ray_folder),
            "AWS_SECRET_ACCESS_KEY": "CANARY-aws-secret",
        }
        told = subprocess.run(
            [str(RDPT), "curate", str(config), "store=s3://rdpt/store", "--json"],
            capture_output=True,
            timeout=800,
            check=False,
            env=environment,
        )
        assert told.returncode == 0, told.stderr.decode()[-2000:]
        listed = client.list_objects_v2(Bucket="rdpt")["Contents"]
        written = {
            item["Key"]: client.get_object(Bucket="rdpt", Key=item["Key"])["Body"].read()
            for item in listed
        }
    assert any(name.endswith("manifest.json") for name in written)
    assert any("/sessions/" in name for name in written)
    written |= {"stdout": told.stdout, "stderr": told.stderr}
    logs = [path for path in ray_folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert logs, "Ray left nothing to look at"
    written |= {str(path): path.read_bytes() for path in logs}
    assert [name for name, content in written.items() if CANARY in content] == []
