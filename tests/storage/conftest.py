"""Stores that several files test: on a local disk, in memory and behind a real S3 API on loopback."""

import pytest
import s3fs

from rdpt_ray.storage.files import open_root
from tests.storage.s3_server import running_s3

BUCKET = "store"


@pytest.fixture(scope="module")
def s3_store():
    """An S3 server with an empty bucket, which clients find by the environment."""
    with running_s3() as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = s3.client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield s3
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def s3_root(s3_store, tmp_path):
    """An empty root in the bucket."""
    return open_root(f"s3://{BUCKET}/{tmp_path.name}")


@pytest.fixture(params=["local", "memory", "s3"])
def any_root(request, tmp_path):
    """An empty root on each kind of file system."""
    if request.param == "local":
        return open_root(str(tmp_path / "store"))
    if request.param == "memory":
        return open_root(f"memory://{tmp_path.name}")
    return request.getfixturevalue("s3_root")
