"""Parquet files to raw rows: every string type, every kind of damage, and bounded memory."""

import datetime
import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import InputError
from rdpt_ray.storage.columns import resolve_columns
from rdpt_ray.storage.faults import MAX_ROW_BYTES, Fault
from rdpt_ray.storage.read_parquet import read_parquet
from rdpt_ray.storage.sources import Source
from tests.storage.test_bombs import varint

NAMES = resolve_columns({})


def to_parquet(columns, **options):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def read(data, names=NAMES, limit=None):
    """Rows as (row, values) or (row, reason, column)."""
    return [
        (row, values.reason, values.column) if isinstance(values, Fault) else (row, values)
        for row, values in read_parquet(Source(io.BytesIO(data), "memory"), names, limit=limit)
    ]


def traces(num_rows):
    return {
        "prompt": [f"q{row}" for row in range(num_rows)],
        "response": [f"r{row}" for row in range(num_rows)],
    }


def expected(num_rows):
    return [(row, {"prompt": f"q{row}", "response": f"r{row}"}) for row in range(num_rows)]


@pytest.mark.parametrize("row_group_size", [1, 7, 100, 1000])
def test_rows_come_in_order_across_row_groups(row_group_size):
    data = to_parquet(traces(150), row_group_size=row_group_size)
    assert read(data) == expected(150)
    assert read(data, limit=9) == expected(9)


def test_only_the_mapped_columns_are_read():
    data = to_parquet({**traces(2), "output": ["a", None], "other": [1, 2]})
    rows = read(data, resolve_columns({"response": "output"}))
    assert rows == [
        (0, {"prompt": "q0", "response": "a"}),
        (1, {"prompt": "q1", "response": None}),
    ]


@pytest.mark.parametrize(
    "data_type",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
)
def test_string_types(data_type):
    text = ["a\0b", None, "\ufeff\u202e \U0001f600", "a\0b"]
    column = pa.array(text, data_type)
    rows = read(to_parquet({"prompt": ["q"] * 4, "response": column}))
    assert [values["response"] for _, values in rows] == text


def test_messages_and_metadata_come_as_python_values():
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    messages = [[{"role": "user", "content": "q"}], [], None]
    day = datetime.date(2026, 1, 2)
    data = to_parquet(
        {
            "messages": pa.array(messages, pa.large_list(kind.value_type)),
            "response": ["r"] * 3,
            "metadata": [{"day": day, "scores": [1.5]}, None, {"day": None, "scores": []}],
        }
    )
    rows = [values for _, values in read(data)]
    assert [values["messages"] for values in rows] == messages
    assert rows[0]["metadata"] == {"day": day, "scores": [1.5]}


@pytest.mark.parametrize(
    ("column", "values", "named"),
    [
        ("response", pa.array([1, 2, 3]), "int64"),
        ("response", pa.array([["r"], ["r"], []]), "list<"),
        ("response", pa.array([{"text": "r"}] * 3), "struct<"),
        ("response", pa.array([b"r"] * 3), "binary"),
        ("response", pa.array([b"r"] * 3).dictionary_encode(), "dictionary<values=binary"),
        ("prompt", pa.array([1.5] * 3), "double"),
        ("correct", pa.array([1, 0, 1]), "int64"),
    ],
)
def test_a_column_of_the_wrong_type_is_a_fault_of_each_row(column, values, named):
    data = to_parquet({**traces(3), column: values})
    assert read(data) == [(row, "wrong_type", column) for row in range(3)]
    [(_, fault)] = read_parquet(Source(io.BytesIO(data), "f"), NAMES, limit=1)
    assert named in fault.detail


def test_a_missing_column_is_a_fault_of_each_row():
    data = to_parquet({"prompt": ["q"] * 5, "output": ["r"] * 5}, row_group_size=2)
    assert read(data) == [(row, "missing_column", "response") for row in range(5)]


def invalid(texts):
    offsets = pa.array([0, *[sum(map(len, texts[: i + 1])) for i in range(len(texts))]], pa.int32())
    buffers = [None, offsets.buffers()[1], pa.py_buffer(b"".join(texts))]
    return pa.StringArray.from_buffers(len(texts), buffers[1], buffers[2])


def test_invalid_utf8_is_a_fault_of_its_row_only():
    data = to_parquet(
        {
            "prompt": ["q"] * 4,
            "response": invalid([b"a", b"\xff\xfe", b"\xc3\xa9", b"b\xed\xa0\x80"]),
        }
    )
    rows = read(data)
    assert rows[0] == (0, {"prompt": "q", "response": "a"})
    assert rows[1] == (1, "invalid_utf8", "response")
    assert rows[2] == (2, {"prompt": "q", "response": "\u00e9"})
    assert rows[3] == (3, "invalid_utf8", "response")


def test_invalid_utf8_inside_messages_is_a_fault_of_its_row_only():
    content = invalid([b"good", b"\xff", b"fine"])
    struct = pa.StructArray.from_arrays([pa.array(["user"] * 3), content], ["role", "content"])
    column = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), struct)
    rows = read(to_parquet({"messages": column, "response": ["r"] * 3}))
    assert rows[1] == (1, "invalid_utf8", "messages")
    assert [row[1]["messages"][0]["content"] for row in rows[::2]] == ["good", "fine"]


def test_a_value_that_python_cannot_hold_is_a_fault_of_its_row_only():
    days = pa.array([0, 2**30], pa.date32())
    rows = read(to_parquet({**traces(2), "metadata": days}))
    assert rows[0][1]["metadata"] == datetime.date(1970, 1, 1)
    assert rows[1] == (1, "unreadable_value", "metadata")


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1",
        b"PAR1PAR1",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b"\0" * 1000,
        to_parquet(traces(50))[:-1],
        to_parquet(traces(50))[:200],
        to_parquet(traces(50))[:-8] + b"\xff\xff\xff\x7fPAR1",
    ],
)
def test_an_unreadable_footer_is_one_fault(data):
    assert read(data) == [(None, "corrupt_file", None)]


@pytest.mark.parametrize("checksum", [False, True])
def test_a_damaged_row_group_is_a_fault_of_its_rows_only(checksum):
    data = bytearray(
        to_parquet(traces(40), row_group_size=10, compression="zstd", write_page_checksum=checksum)
    )
    second = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(1).column(1)
    start = second.dictionary_page_offset
    for offset in range(start + 30, start + second.total_compressed_size):
        data[offset] ^= 0x5A
    rows = read(bytes(data))
    assert [row[0] for row in rows] == list(range(40))
    assert rows[:10] + rows[20:] == expected(40)[:10] + expected(40)[20:]
    assert rows[10:20] == [(row, "corrupt_row_group", None) for row in range(10, 20)]


def test_a_row_over_the_limit_is_a_fault_of_its_row_only():
    texts = ["x", "y" * (MAX_ROW_BYTES + 1), "z" * (MAX_ROW_BYTES - 1000)]
    rows = read(to_parquet({"prompt": ["q"] * 3, "response": texts}))
    assert rows[0] == (0, {"prompt": "q", "response": "x"})
    assert rows[1] == (1, "too_long", None)
    assert len(rows[2][1]["response"]) == MAX_ROW_BYTES - 1000


def test_the_row_over_the_limit_is_the_one_that_is_expanded():
    """A text that a dictionary holds once counts as often as a row uses it."""
    once = pa.DictionaryArray.from_arrays([0] * 50, ["x" * (1 << 20)])
    messages = pa.ListArray.from_arrays(
        [0, 1, 41, 50],
        pa.StructArray.from_arrays([pa.array(["user"] * 50), once], ["role", "content"]),
    )
    rows = read(to_parquet({"messages": messages, "response": ["r"] * 3}, store_schema=False))
    assert [row[1] for row in rows if len(row) == 3] == ["too_long"]
    assert [(row[0], len(row[1]["messages"])) for row in rows if len(row) == 2] == [(0, 1), (2, 9)]


@pytest.mark.parametrize("claim", [-1, -(2**62), 0, 2**62])
def test_a_row_group_may_claim_any_number_of_rows(claim):
    """Three row groups, of which the footer says nonsense of the second."""
    data = to_parquet(traces(3000), row_group_size=1001)
    told = varint(claim, 2)
    [length] = struct.unpack("<i", data[-8:-4])
    footer = data[-8 - length : -8]
    at = footer.rindex(varint(1001))  # the second row group's; the third has 998
    footer = footer[:at] + told + footer[at + 2 :]
    data = data[: -8 - length] + footer + struct.pack("<i", len(footer)) + b"PAR1"
    rows = read(data)
    assert rows[:1001] == expected(1001)
    assert [row[1]["prompt"] for row in rows[-998:]] == [f"q{row}" for row in range(2002, 3000)]
    numbers = [row[0] for row in rows if row[0] is not None]
    assert numbers == sorted(set(numbers))
    assert pa.array(numbers, pa.int64()).null_count == 0


class Unplugged(io.BytesIO):
    """A connection that is lost when the pages are read."""

    def read(self, size=-1):
        if self.tell() < 1000:
            raise ConnectionResetError("connection lost")
        return super().read(size)


def test_a_lost_connection_is_not_a_damaged_file():
    source = Source(Unplugged(to_parquet(traces(5000))), "s3://bucket/a.parquet")
    with pytest.raises(InputError, match=r"s3://bucket/a\.parquet: .*connection lost"):
        list(read_parquet(source, NAMES))


VALID = to_parquet(
    {
        **traces(60),
        "messages": [[{"role": "user", "content": f"q{row}"}] for row in range(60)],
        "metadata": [{"n": row} for row in range(60)],
    },
    row_group_size=20,
)


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=20))
def test_flipped_bytes_never_raise(flips):
    data = bytearray(VALID)
    for offset, byte in flips:
        data[offset] = byte
    rows = read(bytes(data))
    assert rows == [(None, "corrupt_file", None)] or [row[0] for row in rows] == list(
        range(len(rows))
    )
