"""A file far away reads like one on the disk."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.ranges import RangedFile

steps = st.lists(
    st.tuples(st.just("read"), st.integers(-1, 40))
    | st.tuples(st.just("seek"), st.integers(0, 60), st.just(0))
    | st.tuples(st.just("seek"), st.integers(-30, 0), st.just(2)),
    max_size=12,
)


@given(st.binary(max_size=50), steps)
def test_it_reads_as_bytes_in_memory_do(content, steps):
    fetched = []

    def fetch(start, end):
        fetched.append((start, end))
        return content[start:end]

    far, near = RangedFile(len(content), fetch), io.BytesIO(content)
    for method, *arguments in steps:
        if method == "seek" and arguments[1] == 2:
            arguments[0] = max(arguments[0], -len(content))
        assert getattr(far, method)(*arguments) == getattr(near, method)(*arguments)
        assert far.tell() == near.tell()
    assert all(0 <= start < end <= len(content) for start, end in fetched)


def test_an_answer_that_is_too_short_is_an_error():
    with pytest.raises(OSError, match="bytes 0 to 10 were asked for, 4 bytes came"):
        RangedFile(10, lambda start, end: b"four").read()


def test_a_row_group_is_read_without_the_others(s3_store, s3_root):
    table = pa.table({"x": list(range(20_000)), "noise": [str(n * 7919) for n in range(20_000)]})
    s3_root.write_table("table.parquet", table)
    size = len(s3_root.read_bytes("table.parquet"))
    before = s3_store.served("table.parquet")
    with open_root(s3_root.uri).opened("table.parquet") as stream:
        group = pq.ParquetFile(stream).read_row_group(3, use_threads=False)
    assert group.column("x").to_pylist() == list(range(3 * 1024, 4 * 1024))
    assert s3_store.served("table.parquet") - before < size / 2
