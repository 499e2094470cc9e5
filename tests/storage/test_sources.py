"""Opening an input file: only the one that was listed, and never two meanings for one error."""

import hashlib
import io
import pickle

import fsspec
import pytest

from rdpt_ray.config import InputConfig
from rdpt_ray.errors import InputError
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.sources import Source, content_tag, hash_content, open_input


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"12345")
    return path, list_inputs(InputConfig(path=str(path)))[0]


def test_open_input_reads_what_was_listed(listed):
    _, file = listed
    with open_input(pickle.loads(pickle.dumps(file))) as source:
        assert source.read(2) == b"12"
        assert source.tell() == 2
        assert source.seek(4) == 4
        assert source.read() == b"5"


def test_a_file_that_changed_since_it_was_listed_is_an_error(listed):
    path, file = listed
    path.write_bytes(b"123456")
    with pytest.raises(InputError, match=r"a\.jsonl: has changed"), open_input(file):
        pass


def test_a_file_that_is_gone_is_an_error(listed):
    path, file = listed
    path.unlink()
    with pytest.raises(InputError, match=r"a\.jsonl: cannot be opened"), open_input(file):
        pass


def test_a_failing_file_system_is_remembered():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise TimeoutError("timed out")

    source = Source(Broken(), "s3://b/k")
    source.raise_failure()
    with pytest.raises(TimeoutError):
        source.read(1)
    with pytest.raises(InputError, match="s3://b/k: reading failed: timed out"):
        source.raise_failure()


@pytest.mark.parametrize(
    ("info", "tag"),
    [
        ({"name": "x", "size": 3}, ""),
        ({"ETag": '"abc"'}, "etag:abc"),
        ({"md5Hash": "m", "etag": "e"}, "etag:e"),
        ({"blob_id": "b", "lfs": {"sha256": "s", "size": 1}}, "sha256:s"),
        ({"blob_id": "b", "lfs": None}, "blob_id:b"),
        ({"ETag": None}, ""),
    ],
)
def test_content_tag(info, tag):
    assert content_tag(info) == tag


def test_hash_content_reads_the_whole_file():
    data = b"0123456789" * 300_000
    fsspec.filesystem("memory").pipe("/hashed/a.jsonl", data)
    size, digest = hash_content("memory://hashed", "/hashed/a.jsonl", "memory:///hashed/a.jsonl")
    assert (size, digest) == (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
    with pytest.raises(InputError, match=r"memory:///hashed/b\.jsonl: cannot be read"):
        hash_content("memory://hashed", "/hashed/b.jsonl", "memory:///hashed/b.jsonl")
