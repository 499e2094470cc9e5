"""Opening an input file: only the one that was listed, and never two meanings for one error."""

import hashlib
import io
import json
import os
import pickle
import threading

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.sentences import SPLITTERS
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.sources import Source, hash_content, open_input
from tests.storage.s3_server import running_s3


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


def test_hash_content_reads_the_whole_file():
    data = b"0123456789" * 300_000
    fsspec.filesystem("memory").pipe("/hashed/a.jsonl", data)
    size, digest, stamp = hash_content(
        "memory://hashed", "/hashed/a.jsonl", "memory:///hashed/a.jsonl"
    )
    assert (size, digest) == (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert "size:3000000" in stamp
    with pytest.raises(InputError, match=r"memory:///hashed/b\.jsonl: cannot be read"):
        hash_content("memory://hashed", "/hashed/b.jsonl", "memory:///hashed/b.jsonl")


# Input that changes under a running job

CONFIG = InputConfig(path="-")
SPLIT = SPLITTERS["line"]


def rows(answer, count=800):
    return [
        {"prompt": f"{place} + {place}?", "response": f"{answer} {place:05d} {'because ' * 64}"}
        for place in range(count)
    ]


def as_parquet(records):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), stream, row_group_size=100, compression="none")
    return stream.getvalue()


def as_jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


WRITERS = {"a.parquet": as_parquet, "a.jsonl": as_jsonl}


def set_back(path, before):
    """What `cp -p` and `touch -d` do: the file says that it is as old as it was."""
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def delete(path, _):
    path.unlink()


def truncate(path, _):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def append(path, _):
    with open(path, "ab") as file:
        file.write(b'{"prompt": "1?", "response": "2"}\n')


def rewrite(path, other):
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(other)
    set_back(path, before)


def replace(path, other):
    before = path.stat()
    new = path.with_name("new")
    new.write_bytes(other)
    set_back(new, before)
    new.rename(path)


def delete_and_write(path, other):
    before = path.stat()
    path.unlink()
    path.write_bytes(other)
    set_back(path, before)


CHANGES = [delete, truncate, append, rewrite, replace, delete_and_write]


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """A file, as listed, and other content of the same size."""
    write = WRITERS[request.param]
    content, other = write(rows("yes")), write(rows("not"))
    assert len(content) == len(other)
    path = tmp_path / request.param
    path.write_bytes(content)
    [file] = list_inputs(InputConfig(path=str(path)))
    return path, file, other


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_listing_and_opening_is_an_error(written, change):
    path, file, other = written
    change(path, other)
    with pytest.raises(InputError) as caught:
        list(read_file(file, CONFIG, split=SPLIT))
    assert str(path) in str(caught.value)
    assert "start the job again" in str(caught.value)


@pytest.mark.parametrize("read_before", [1, 799])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_a_file_is_read_is_an_error(written, change, read_before):
    path, file, other = written
    tables = read_file(file, CONFIG, split=SPLIT, max_rows=1)
    for _ in range(read_before):
        next(tables)
    change(path, other)
    with pytest.raises(InputError) as caught:
        list(tables)
    assert str(path) in str(caught.value)
    assert "start the job again" in str(caught.value)


def touch(path, _):
    os.utime(path, (1, 1))


def protect(path, _):
    path.chmod(0o400)


def link(path, _):
    os.link(path, path.with_name("link"))


def copy_over(path, _):
    replace(path, path.read_bytes())


@pytest.mark.parametrize("change", [touch, protect, link, copy_over])
def test_a_file_that_holds_the_same_is_the_same(written, change):
    path, file, other = written
    change(path, other)
    assert sum(table.num_rows for table in read_file(file, CONFIG, split=SPLIT)) == 800
    assert list_inputs(InputConfig(path=str(path)))[0].fingerprint == file.fingerprint


def test_a_rerun_after_a_change_has_another_fingerprint(written):
    path, file, other = written
    rewrite(path, other)
    assert list_inputs(InputConfig(path=str(path)))[0].fingerprint != file.fingerprint


def test_a_file_that_is_written_while_it_is_listed_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (64 << 20))
    writing = threading.Event()

    def write():
        with open(path, "r+b") as file:
            while not writing.is_set():
                file.seek(0)
                file.write(b"y")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(InputError, match=r"a\.jsonl: is being written"):
            list_inputs(InputConfig(path=str(path)))
    finally:
        writing.set()
        writer.join()


def test_lines_are_compared_by_what_was_read_where_the_file_system_tells_nothing():
    memory = fsspec.filesystem("memory")
    content, other = as_jsonl(rows("yes")), as_jsonl(rows("not"))
    memory.pipe("/silent/a.jsonl", content)
    [file] = list_inputs(InputConfig(path="memory://silent/a.jsonl"))
    created = memory.info("/silent/a.jsonl")["created"]
    memory.store["/silent/a.jsonl"].getbuffer()[:] = other
    assert memory.info("/silent/a.jsonl")["created"] == created
    with pytest.raises(InputError, match=r"a\.jsonl: has changed while it was read"):
        list(read_file(file, CONFIG, split=SPLIT))


def test_a_limit_reads_no_further_and_compares_no_sha256(written):
    _, file, _ = written
    config = InputConfig(path="-", limit=3)
    assert sum(table.num_rows for table in read_file(file, config, split=SPLIT)) == 3


@pytest.fixture
def bucket(monkeypatch):
    """A client of an S3 server with a bucket `inputs`."""
    with running_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = server.client()
        client.create_bucket(Bucket="inputs")
        yield client
        client.close()
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_an_object_that_changes_is_an_error(bucket, name):
    write = WRITERS[name]

    def put(answer):
        bucket.put_object(Bucket="inputs", Key=name, Body=write(rows(answer, 8_000)))

    put("yes")
    [file] = list_inputs(InputConfig(path=f"s3://inputs/{name}"))
    assert sum(table.num_rows for table in read_file(file, CONFIG, split=SPLIT)) == 8_000
    put("not")
    with pytest.raises(InputError, match=f"s3://inputs/{name}: has changed since it was listed"):
        list(read_file(file, CONFIG, split=SPLIT))
    for change in (lambda: put("yes"), lambda: bucket.delete_object(Bucket="inputs", Key=name)):
        [file] = list_inputs(InputConfig(path=f"s3://inputs/{name}"))
        tables = read_file(file, CONFIG, split=SPLIT)
        next(tables)
        change()
        with pytest.raises(InputError, match=f"s3://inputs/{name}: .*start the job again"):
            list(tables)
