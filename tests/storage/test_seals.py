import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root, parquet_bytes
from rdpt_ray.storage.seals import KEY, check_seal

ROWS = pa.table({"id": ["a", "b", KEY], "ranks": [[1, 1, 1], [1, 2], []]})
SEALED = parquet_bytes(ROWS, {"of": "a test"})


def test_a_sealed_file_is_a_parquet_file():
    check_seal(SEALED)
    table = pq.read_table(io.BytesIO(SEALED))
    assert table.equals(ROWS)
    assert table.schema.metadata[b"of"] == b"a test"
    assert parquet_bytes(ROWS, {"of": "a test"}) == SEALED


def test_a_file_without_a_seal_is_let_through():
    buffer = io.BytesIO()
    pq.write_table(ROWS, buffer)
    check_seal(buffer.getvalue())


@given(st.integers(0, 8 * len(SEALED) - 1))
def test_every_flipped_bit_is_noticed(place):
    """But in the seal's own name, by which no row is read."""
    data = bytearray(SEALED)
    data[place // 8] ^= 1 << place % 8
    name = SEALED.rindex(KEY.encode())
    if name <= place // 8 < name + len(KEY) + 2:
        return
    with pytest.raises(ValueError, match="checksum was"):
        check_seal(bytes(data))


def test_a_page_header_that_gives_other_values_is_told(tmp_path):
    """Parquet's checksums do not cover it: found by the audit's law in a part's `ranks`."""
    root = open_root(str(tmp_path))
    root.write_table("rows.parquet", ROWS)
    data = bytearray(root.read_bytes("rows.parquet"))
    data[6] ^= 8
    root.write_bytes("rows.parquet", bytes(data))
    with pytest.raises(StoreError, match=r"rows\.parquet: not a valid Parquet file \(its checksum"):
        root.read_table("rows.parquet")
