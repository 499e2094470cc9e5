import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.publish.shards import CHUNKS, ROW_GROUP_BYTES, ShardWriter

SCHEMA = pa.schema([("name", pa.string()), ("words", pa.list_(pa.string()))])


def write(folder, rows, **sizes):
    sizes = {"shard_bytes": 10_000, "row_group_bytes": 2_000} | sizes
    writer = ShardWriter(folder, "default", "data", SCHEMA, **sizes)
    for row in rows:
        writer.write(row)
    return writer.close()


def some_rows(count, chars=100, seed=1):
    draw = random.Random(seed)
    return [
        {"name": str(at), "words": ["".join(draw.choices("abcdef", k=chars))], "more": at}
        for at in range(count)
    ]


def test_names_count_the_files(tmp_path):
    shards = write(tmp_path, some_rows(300))
    assert len(shards.paths) > 2
    assert shards.paths[0] == f"data/train-00000-of-{len(shards.paths):05d}.parquet"
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")) == list(
        shards.paths
    )
    assert [path.name for path in sorted(tmp_path.glob(shards.pattern))] == [
        path.removeprefix("data/") for path in shards.paths
    ]


def test_rows_come_back_in_order(tmp_path):
    rows = some_rows(300)
    shards = write(tmp_path, rows)
    back = [row for path in shards.paths for row in pq.read_table(tmp_path / path).to_pylist()]
    assert back == [{"name": row["name"], "words": row["words"]} for row in rows]
    assert shards.num_rows == 300


def test_no_rows_are_one_file_with_the_schema(tmp_path):
    shards = write(tmp_path, [])
    assert shards.paths == ("data/train-00000-of-00001.parquet",)
    table = pq.read_table(tmp_path / shards.paths[0])
    assert (table.num_rows, table.schema.remove_metadata()) == (0, SCHEMA)
    assert (shards.num_rows, shards.num_bytes) == (0, 0)


def test_files_and_row_groups_end_where_they_are_full(tmp_path):
    shards = write(tmp_path, some_rows(300))
    for path in shards.paths[:-1]:
        meta = pq.read_metadata(tmp_path / path)
        rows = pq.read_table(tmp_path / path)
        assert 10_000 <= rows.nbytes * 1.2 < 13_000
        assert meta.num_row_groups > 1
        for at in range(meta.num_row_groups):
            assert meta.row_group(at).total_byte_size < 3_000


def test_a_row_larger_than_everything_has_a_group_and_a_file_of_its_own(tmp_path):
    big = {"name": "big", "words": ["x" * 50_000]}
    shards = write(tmp_path, [big, *some_rows(1), big])
    sizes = [pq.read_metadata(tmp_path / path).num_rows for path in shards.paths]
    assert sizes == [1, 2]


def test_files_have_checksums_and_an_index_of_pages_and_say_how_they_were_chunked(tmp_path):
    shards = write(tmp_path, some_rows(50))
    path = tmp_path / shards.paths[0]
    meta = pq.read_metadata(path)
    column = meta.row_group(0).column(0)
    assert column.has_column_index
    assert column.has_offset_index
    assert column.compression == "ZSTD"
    assert json.loads(meta.metadata[b"content_defined_chunking"]) == CHUNKS
    content = path.read_bytes()
    words = meta.row_group(0).column(1)
    at = words.data_page_offset + words.total_compressed_size - 3
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises((OSError, pa.ArrowException)):
        pq.read_table(path, page_checksum_verification=True)


def test_chunks_are_those_of_datasets():
    from datasets import config

    assert config.DEFAULT_CDC_OPTIONS == CHUNKS


@pytest.mark.slow
def test_an_inserted_row_changes_few_chunks(tmp_path):
    """What content-defined chunking is for: most of the file's bytes are the same again."""
    rows = some_rows(12_000, chars=2_000)
    sizes = {"shard_bytes": 10**9, "row_group_bytes": ROW_GROUP_BYTES}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = write(tmp_path / "a", rows, **sizes)
    after = write(tmp_path / "b", [*some_rows(1, chars=500, seed=2), *rows], **sizes)
    pages = [
        page_bytes(tmp_path / each / shards.paths[0])
        for each, shards in (("a", before), ("b", after))
    ]
    same = sum(len(page) for page in pages[1] & pages[0])
    assert same > 0.5 * sum(map(len, pages[1]))


def page_bytes(path):
    """The data pages of all text columns, whole."""
    content = path.read_bytes()
    meta = pq.read_metadata(path)
    found = set()
    for group in range(meta.num_row_groups):
        column = meta.row_group(group).column(1)
        begin, end = column.data_page_offset, column.data_page_offset + column.total_compressed_size
        # Every page begins with zstd's magic number behind its header.
        found.update(content[begin:end].split(b"\x28\xb5\x2f\xfd"))
    return found


LAW = st.lists(st.integers(0, 3_000), max_size=40)


@given(LAW, st.integers(1, 20))
def test_bytes_do_not_depend_on_how_rows_come_in(tmp_path_factory, lengths, held):
    """Held rows are packed when they are many or large; that must not show."""
    rows = [{"name": "x" * length, "words": [str(length)] * (length % 3)} for length in lengths]
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    shards = write(one, rows)
    writer = ShardWriter(two, "default", "data", SCHEMA, 10_000, 2_000)
    for at, row in enumerate(rows):
        writer.write(row)
        if at % held == 0:
            writer._pack()
    assert writer.close() == shards
    for path in shards.paths:
        assert (one / path).read_bytes() == (two / path).read_bytes()
