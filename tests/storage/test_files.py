"""Whole files or none, on a local disk, in memory and behind a real S3 API on this machine's loopback."""

import io
import os
import pickle
import random
import stat
import subprocess
import sys
import threading

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import RdptError, StoreError
from rdpt_ray.storage.files import Root, open_root
from tests.storage.conftest import BUCKET

TABLE = pa.table(
    {
        "trace_id": ["a", "b", None],
        "sums": pa.array([[-1.5, None], [], None], pa.list_(pa.float32())),
        "sentences": pa.array(
            [[{"start": 0, "end": 3}], None, []],
            pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())])),
        ),
    }
)


@pytest.fixture(scope="module")
def s3(s3_store):
    """A client of an S3 server in this process; what it writes, another process might have written."""
    client = s3_store.client()
    yield client
    client.close()


@pytest.fixture
def root(any_root):
    """An empty root on each kind of file system."""
    return any_root


def test_an_empty_root_holds_nothing(root):
    assert root.names("") == []
    assert root.names("scores/none") == []
    assert not root.exists("a")
    assert not root.exists("a/b/c")


def test_what_is_written_is_there(root):
    root.write_bytes("a/b/file.bin", b"\0one")
    root.write_bytes("a/other", b"")
    root.write_bytes("top", b"two")
    assert root.read_bytes("a/b/file.bin") == b"\0one"
    assert root.read_bytes("a/other") == b""
    assert root.exists("a/b/file.bin")
    assert not root.exists("a/b")  # a folder is not a file
    assert root.names("") == ["a/b/file.bin", "a/other", "top"]
    assert root.names("a") == ["a/b/file.bin", "a/other"]
    assert root.names("a/b") == ["a/b/file.bin"]


def test_a_file_can_be_replaced(root):
    root.write_bytes("file", b"a long first version")
    root.write_bytes("file", b"short")
    assert root.read_bytes("file") == b"short"
    assert root.names("") == ["file"]


def test_a_folder_is_not_mistaken_for_one_whose_name_it_starts(root):
    root.write_bytes("scores/model/x", b"1")
    root.write_bytes("scores/model-2/y", b"2")
    assert root.names("scores/model") == ["scores/model/x"]


@pytest.mark.parametrize(
    "name", ["bucket=0007/a b.parquet", "\u00fcber/\u4e2d.json", "a%20b", "q?#&+"]
)
def test_odd_names(root, name):
    root.write_bytes(name, b"x")
    assert root.read_bytes(name) == b"x"
    assert root.exists(name)
    assert root.names("") == [name]


def test_hidden_files_are_not_listed(root):
    root.write_bytes("a/.part.123.tmp", b"x")
    root.write_bytes("a/part", b"x")
    assert root.names("a") == ["a/part"]


@pytest.mark.parametrize("method", ["read_bytes", "read_table"])
def test_a_missing_file_is_named(root, method):
    with pytest.raises(StoreError) as caught:
        getattr(root, method)("a/none.parquet")
    assert str(caught.value).startswith(f"{root.show('a/none.parquet')}: cannot be read: ")


def test_a_table_comes_back_as_it_was(root):
    root.write_table("part.parquet", TABLE, {"splitter": "x/1"})
    table = root.read_table("part.parquet")
    assert table.replace_schema_metadata(None).equals(TABLE)
    assert table.schema.metadata == {b"splitter": b"x/1"}
    assert root.read_table("part.parquet", columns=["trace_id"]).column_names == ["trace_id"]


def test_a_table_without_facts_or_rows(root):
    root.write_table("part.parquet", TABLE.slice(0, 0))
    table = root.read_table("part.parquet")
    assert (table.num_rows, table.schema) == (0, TABLE.schema)
    assert table.schema.metadata is None


def test_a_root_means_the_same_on_another_worker(root):
    root.write_bytes("file", b"x")
    other = pickle.loads(pickle.dumps(root))
    assert other == root
    assert other.read_bytes("file") == b"x"


# What other processes do meanwhile


def test_files_of_another_process_are_seen_at_once(s3, tmp_path):
    """s3fs remembers listings: unasked, it denies a file written after it has listed the folder."""
    root = open_root(f"s3://{BUCKET}/{tmp_path.name}")
    key = f"{tmp_path.name}/scores/new"
    root.write_bytes("scores/old", b"1")
    assert root.names("scores") == ["scores/old"]
    assert not root.exists("scores/new")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"2")
    assert root.exists("scores/new")
    assert root.read_bytes("scores/new") == b"2"
    assert root.names("scores") == ["scores/new", "scores/old"]
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"longer than before")
    assert root.read_bytes("scores/new") == b"longer than before"
    s3.delete_object(Bucket=BUCKET, Key=key)
    assert not root.exists("scores/new")
    assert root.names("scores") == ["scores/old"]


def test_a_bucket_that_does_not_exist_is_named(s3):
    root = open_root("s3://no-such-bucket/store")
    with pytest.raises(StoreError, match="s3://no-such-bucket/store/a: cannot be written"):
        root.write_bytes("a", b"x")
    with pytest.raises(StoreError, match="s3://no-such-bucket/store/a: cannot be read"):
        root.read_bytes("a")


@pytest.mark.parametrize(
    "act",
    [
        lambda root: root.read_bytes("a"),
        lambda root: root.write_bytes("a", b""),
        lambda root: root.exists("a"),
        lambda root: root.names("a"),
    ],
    ids=["read", "write", "exists", "names"],
)
def test_no_credentials_is_an_error_and_never_an_absent_file(act, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StoreError, match=r"s3://private/store/a: cannot be .*credentials"):
            act(open_root("s3://private/store"))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_readers_see_whole_versions_only(tmp_path):
    root = open_root(str(tmp_path))
    versions = [bytes([number]) * 200_000 for number in range(4)]
    root.write_bytes("file", versions[0])
    done = threading.Event()

    def rewrite(content):
        while not done.is_set():
            root.write_bytes("file", content)

    writers = [threading.Thread(target=rewrite, args=[content]) for content in versions]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert root.read_bytes("file") in versions
            assert root.names("") == ["file"]
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert os.listdir(tmp_path) == ["file"]


# Writes that fail midway. The kernel cuts the file off at a limit, as a full disk does.

WRITER = """
import resource, signal, sys
from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
root, name, size, then = open_root(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
if then == "die":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it; now it kills at that byte
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    root.write_bytes(name, b"n" * size)
except StoreError as error:
    print(error)
    sys.exit(3)
"""


def write_with_a_limit(folder, name, size, then):
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(folder), name, str(size), then],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def after_failed_writes(tmp_path_factory):
    """A folder with an old file, after a write that failed and one whose process was killed in it."""
    folder = tmp_path_factory.mktemp("store")
    open_root(str(folder)).write_bytes("a/old", b"old")
    failed = write_with_a_limit(folder, "a/old", 1_000_000, "report")
    left_by_failure = os.listdir(folder / "a")
    killed = write_with_a_limit(folder, "a/old", 1_000_000, "die")
    return folder, failed, left_by_failure, killed


def test_the_limit_lets_a_small_write_pass(tmp_path):
    assert write_with_a_limit(tmp_path, "small", 1000, "report").returncode == 0
    assert open_root(str(tmp_path)).read_bytes("small") == b"n" * 1000


def test_a_failed_write_is_named_and_leaves_nothing(after_failed_writes):
    folder, failed, left, _ = after_failed_writes
    assert failed.returncode == 3, failed.stderr
    assert failed.stdout.startswith(f"{folder}/a/old: cannot be written: ")
    assert left == ["old"]


def test_a_killed_write_leaves_only_what_nobody_sees(after_failed_writes):
    folder, _, _, killed = after_failed_writes
    assert killed.returncode < 0  # by a signal, in the middle of the write
    (remains,) = [name for name in os.listdir(folder / "a") if name != "old"]
    assert (folder / "a" / remains).stat().st_size == 100_000
    assert open_root(str(folder)).names("") == ["a/old"]


def test_the_old_file_outlives_both(after_failed_writes):
    folder = after_failed_writes[0]
    assert open_root(str(folder)).read_bytes("a/old") == b"old"


def test_a_folder_is_never_replaced_by_a_file(tmp_path):
    root = open_root(str(tmp_path))
    root.write_bytes("a/b", b"x")
    with pytest.raises(StoreError, match=f"{tmp_path}/a: cannot be written"):
        root.write_bytes("a", b"y")
    assert os.listdir(tmp_path) == ["a"]
    assert root.read_bytes("a/b") == b"x"


def test_a_file_is_never_taken_for_a_folder(tmp_path):
    root = open_root(str(tmp_path))
    root.write_bytes("a", b"x")
    with pytest.raises(StoreError, match=f"{tmp_path}/a/b: cannot be written"):
        root.write_bytes("a/b", b"y")
    assert not root.exists("a/b")
    assert root.read_bytes("a") == b"x"


# Parquet: the same rows, the same bytes


def bytes_of(table, facts=None):
    root = open_root("memory://bytes")
    root.write_table("table.parquet", table, facts)
    return root.read_bytes("table.parquet")


rows_of_traces = st.lists(
    st.fixed_dictionaries(
        {
            "trace_id": st.none() | st.text(max_size=5),
            "sums": st.none()
            | st.lists(st.none() | st.floats(width=32, allow_nan=False), max_size=3),
            "sentences": st.none()
            | st.lists(
                st.fixed_dictionaries(
                    {"start": st.integers(0, 9), "end": st.none() | st.integers(0, 9)}
                ),
                max_size=3,
            ),
        }
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(rows_of_traces, st.integers(0, 12), st.integers(0, 12))
def test_equal_tables_give_equal_bytes_however_they_were_built(rows, cut, other_cut):
    whole = pa.Table.from_pylist(rows, TABLE.schema)
    expected = bytes_of(whole)
    low, high = sorted((min(cut, len(rows)), min(other_cut, len(rows))))
    pieces = [whole.slice(0, low), whole.slice(low, high - low), whole.slice(high)]
    assert bytes_of(pa.concat_tables(pieces)) == expected  # several chunks, each a slice
    padded = pa.concat_tables([TABLE, whole, TABLE]).combine_chunks()
    assert bytes_of(padded.slice(3, len(rows))) == expected  # a slice of something larger
    copied = pa.concat_tables(
        [pa.Table.from_pylist([row], TABLE.schema) for row in rows] or [whole]
    )
    assert bytes_of(copied) == expected
    assert bytes_of(whole.replace_schema_metadata({"stray": "note"})) == expected


def test_another_process_writes_the_same_bytes(tmp_path):
    code = f"""
import pyarrow as pa
from rdpt_ray.storage.files import open_root
table = pa.table({{"x": [f"{{i * i}}" for i in range(3000)], "y": range(3000)}})
open_root({str(tmp_path)!r}).write_table("t.parquet", table, {{"b": "2", "a": "1"}})
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    table = pa.table({"x": [f"{i * i}" for i in range(3000)], "y": range(3000)})
    assert (tmp_path / "t.parquet").read_bytes() == bytes_of(table, {"b": "2", "a": "1"})


def test_facts_and_rows_and_their_order_all_count():
    variants = [
        bytes_of(TABLE),
        bytes_of(TABLE, {"splitter": "x/1"}),
        bytes_of(TABLE, {"splitter": "x/2"}),
        bytes_of(TABLE.take([1, 0, 2])),
        bytes_of(TABLE.slice(1)),
    ]
    assert len(set(variants)) == len(variants)


def test_a_long_table_can_be_read_in_pieces():
    """Row groups and a page index are what the Hub's viewer and column readers skip by."""
    metadata = pq.ParquetFile(io.BytesIO(bytes_of(pa.table({"x": range(2500)})))).metadata
    assert [metadata.row_group(group).num_rows for group in range(3)] == [1024, 1024, 452]
    assert metadata.row_group(0).column(0).has_offset_index
    assert metadata.row_group(0).column(0).has_column_index


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    """A rename that outlives a power cut must not outlive its content; only the order can be seen here."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor):
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        fsync(descriptor)

    def spy_replace(source, target):
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    open_root(str(tmp_path)).write_bytes("file", b"12345")
    assert steps == ["5 bytes", "rename", "folder"]


def test_writing_leaves_no_file_open(tmp_path):
    root = open_root(str(tmp_path))
    root.write_bytes("first", b"x")
    before = os.listdir("/proc/self/fd")
    for number in range(20):
        root.write_bytes(f"a/{number}", b"x")
    assert len(os.listdir("/proc/self/fd")) <= len(before)


# Files that were damaged at rest


def refused(root, content):
    """Write damaged bytes; the StoreError that reading them gives, or None."""
    root.write_bytes("part.parquet", content)
    try:
        root.read_table("part.parquet")
    except StoreError as error:
        return error
    return None


@pytest.fixture(scope="module")
def good():
    """A Parquet file whose bytes 2,000 to 20,000 are texts that do not compress."""
    noise = random.Random(3)
    return bytes_of(pa.table({"text": [noise.randbytes(24).hex() for _ in range(1000)]}))


def test_damage_is_told_with_the_file_and_what_to_do(tmp_path, good):
    root = open_root(str(tmp_path))
    for content in (
        b"",
        b"not parquet",
        good[:-1],
        good[: len(good) // 2],
        good[100:],
        b"PAR1PAR1",
    ):
        error = refused(root, content)
        assert str(error).startswith(f"{tmp_path}/part.parquet: not a valid Parquet file (")
        assert str(error).endswith("; delete it and rerun")


def test_every_cut_is_noticed(good):
    root = open_root("memory://cut")
    for length in range(0, len(good), len(good) // 100):
        assert refused(root, good[:length]) is not None, length


def test_one_flipped_bit_of_the_data_is_noticed(good):
    """Without page checksums most of these read as a table with other texts in it."""
    root = open_root("memory://flipped")
    for place in range(2000, 20_000, 300):
        content = bytearray(good)
        content[place] ^= 1
        assert refused(root, bytes(content)) is not None, place


@settings(max_examples=200)
@given(data=st.data())
def test_no_damage_raises_anything_but_a_store_error(data):
    content = bytearray(bytes_of(TABLE, {"splitter": "x/1"}))
    place = data.draw(st.integers(0, len(content) - 1))
    with_bytes = data.draw(st.binary(min_size=1, max_size=20))
    content[place : place + len(with_bytes)] = with_bytes
    refused(open_root("memory://damaged"), bytes(content))


def test_a_column_that_is_not_there_is_told(tmp_path):
    root = open_root(str(tmp_path))
    root.write_table("part.parquet", TABLE)
    with pytest.raises(StoreError, match=r"part\.parquet: .*nonesuch"):
        root.read_table("part.parquet", columns=["nonesuch"])


# URIs


def test_a_local_root_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_root("out/store") == Root(f"{tmp_path}/out/store")
    assert open_root("out/store/") == open_root("out/store") == open_root("./out/store")
    assert open_root(f"file://{tmp_path}/out/store") == open_root("out/store")


def test_a_name_is_shown_as_a_whole_uri(tmp_path):
    assert open_root(str(tmp_path)).show("a/b") == f"{tmp_path}/a/b"
    assert open_root("memory://x/y/").show("a") == "memory://x/y/a"


def test_the_root_of_a_file_system_is_a_root():
    root = open_root("memory://")
    root.write_bytes("very-top/file", b"x")
    assert root.names("very-top") == ["very-top/file"]
    assert fsspec.filesystem("memory").cat_file("/very-top/file") == b"x"


def test_a_uri_that_cannot_be_opened_is_named():
    with pytest.raises(StoreError, match="nonsense://store: cannot be opened"):
        open_root("nonsense://store")
    fsspec.register_implementation("unshipped", "no_such_library.FileSystem", clobber=True)
    with pytest.raises(StoreError, match="unshipped://store: cannot be opened"):
        open_root("unshipped://store")


def test_a_store_error_is_an_os_error_and_ours():
    assert issubclass(StoreError, OSError)
    assert issubclass(StoreError, RdptError)


# Many at once


def test_many_files_are_read_at_once_and_missing_ones_left_out(root):
    contents = {f"many/{number}": f"content {number}".encode() for number in range(40)}
    contents |= {"many/empty": b"", "many/[odd]*?": b"not a pattern"}
    for name, content in contents.items():
        root.write_bytes(name, content)
    names = [*contents, "many/none", "none/at/all", "many/0"]
    assert root.read_many(names) == contents
    assert root.read_many(iter(names)) == contents
    assert root.read_many([]) == {}
    assert root.read_many(["none"]) == {}
