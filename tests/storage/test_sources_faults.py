"""Inputs on a server that answers badly, and in folders that cannot be listed."""

import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.sources import Source, open_input
from tests.storage.conftest import BUCKET
from tests.storage.s3_server import Fault

LINES = b"".join(
    json.dumps({"prompt": f"p{n}", "response": "r"}).encode() + b"\n" for n in range(99)
)
TABLE = pa.table({"prompt": ["p"] * 5000, "response": [str(n * 7919) for n in range(5000)]})


@pytest.fixture(scope="module")
def inputs(s3_store):
    """The server with two files of input, whose clients ask once and wait less than a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        patch.setattr(s3fs.S3FileSystem, "read_timeout", 0.8)
        s3fs.S3FileSystem.clear_instance_cache()
        client = s3_store.client()
        client.put_object(Bucket=BUCKET, Key="input/a.jsonl", Body=LINES)
        content = io.BytesIO()
        pq.write_table(TABLE, content, row_group_size=1000)
        client.put_object(Bucket=BUCKET, Key="input/b.parquet", Body=content.getvalue())
        client.close()
        yield s3_store
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("kind", ["500", "503", "reset", "slow", "truncate"])
def test_faults_that_end_change_nothing_that_is_read(kind, inputs):
    config = InputConfig(path=f"s3://{BUCKET}/input")
    # One of each sort of request: one wait is enough, and the waits are those of a real job.
    faults = [
        Fault(kind, method="HEAD", path="input", seconds=1.2),
        Fault(kind, method="GET", path="list-type", seconds=1.2),
        Fault(kind, method="GET", path="a.jsonl", seconds=1.2),
        Fault(kind, method="GET", path="b.parquet", seconds=1.2),
    ]
    with inputs.failing(*faults):
        files = list_inputs(config)
        check_columns(files, config)
        with open_input(files[0]) as lines:
            assert lines.read(10) + lines.read() == LINES
        with open_input(files[1]) as table:
            assert pq.read_table(table, use_threads=False).equals(TABLE)
    assert [fault.times for fault in faults] == [0, 0, 0, 0]


def test_a_refusal_is_told_at_once(inputs):
    inputs.requests.clear()
    with inputs.failing(Fault("403")), pytest.raises(InputError, match=f"{BUCKET}/input cannot be"):
        list_inputs(InputConfig(path=f"s3://{BUCKET}/input"))
    assert len(inputs.requests) == 1


def test_a_stream_goes_on_where_it_was():
    class Flaky(io.BytesIO):
        left = 3

        def read(self, size=-1):
            self.left -= 1
            data = super().read(size)
            if self.left % 2 == 0:
                raise ConnectionResetError("told to")
            return data

    source = Source(Flaky(b"0123456789"), "s3://b/k", patience_s=1)
    assert [source.read(4) for _ in range(3)] == [b"0123", b"4567", b"89"]
    source.raise_failure()


def test_what_cannot_go_back_is_not_asked_again():
    class Flow(io.BytesIO):
        def seekable(self):
            return False

        def read(self, size=-1):
            raise ConnectionResetError("told to")

    source = Source(Flow(b"0123456789"), "https://b/k", patience_s=60)
    with pytest.raises(ConnectionResetError):
        source.read(4)


def test_a_folder_of_inputs_that_cannot_be_listed_is_not_empty(tmp_path, monkeypatch):
    """fsspec's own walk leaves it out, and its rows would be missing without a word."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "deep" / "er" / "b.jsonl").write_bytes(LINES)
    config = InputConfig(path=str(tmp_path))
    assert len(list_inputs(config)) == 2
    scandir = os.scandir

    def fails_deep_down(path):
        if str(path).endswith("/er"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails_deep_down)
    with pytest.raises(InputError, match=r"cannot be listed: .*Permission denied.*/er"):
        list_inputs(config)
