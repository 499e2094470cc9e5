"""JSONL lines to raw rows: every malformed line is one fault, and no stream is too large to read."""

import gzip
import io
import json
import resource
import time
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import InputError
from rdpt_ray.storage.columns import resolve_columns
from rdpt_ray.storage.faults import MAX_ROW_BYTES, Fault
from rdpt_ray.storage.read_jsonl import parse_json, read_jsonl, split_lines, unpack
from rdpt_ray.storage.sources import Source

NAMES = resolve_columns({})
GOOD = b'{"prompt": "q", "response": "r"}'
VALUES = {"prompt": "q", "response": "r"}


def read(data, compression=None, names=NAMES, limit=None):
    """Rows as (row, values) or (row, reason)."""
    source = Source(io.BytesIO(data), "memory")
    return [
        (row, values.reason if isinstance(values, Fault) else values)
        for row, values in read_jsonl(source, compression, names, limit=limit)
    ]


def test_rows_are_numbered_by_line_and_blank_lines_are_not_rows():
    data = b"\n" + GOOD + b"\n \t\r\n" + GOOD + b"\r\n\n\n" + GOOD
    assert read(data) == [(1, VALUES), (3, VALUES), (6, VALUES)]
    assert read(b"\n \r\n") == []


def test_only_newline_ends_a_line():
    text = "a\\u2028\u2028\u0085\x7fb"
    line = f'{{"prompt": "q", "response": "{text}"}}'.encode()
    assert read(line) == [(0, {"prompt": "q", "response": "a\u2028\u2028\u0085\x7fb"})]


def test_a_byte_order_mark_opens_the_file_only():
    bom = b"\xef\xbb\xbf"
    assert read(bom + GOOD + b"\n" + bom + GOOD) == [(0, VALUES), (1, "malformed_json")]
    assert read(bom + b"\n" + GOOD) == [(1, VALUES)]
    assert read(GOOD.replace(b"q", bom + b"q"))[0][1]["prompt"] == "\ufeffq"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"prompt": "q", "response": ', "malformed_json"),
        (b'{"prompt": "q" "response": "r"}', "malformed_json"),
        (b"{'prompt': 'q'}", "malformed_json"),
        (b'{"prompt": "q", "response": "r"} x', "malformed_json"),
        (b'{"prompt": "q", "response": "raw \x00 NUL"}', "malformed_json"),
        (b"<html><body>404</body></html>", "malformed_json"),
        (b"\x0c", "malformed_json"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"1", "not_an_object"),
        (b"1.5", "not_an_object"),
        (b"true", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"prompt": "q", "prompt": "q", "response": "r"}', "duplicate_key"),
        (b'{"prompt": "q", "response": "r", "x": {"a": 1, "a": 1}}', "duplicate_key"),
        (b'{"prompt": "q", "response": "r", "x": NaN}', "non_finite_number"),
        (b'{"prompt": "q", "response": "r", "x": [-Infinity]}', "non_finite_number"),
        (b'{"prompt": "q", "response": "r", "x": 1e999}', "non_finite_number"),
        (b'{"prompt": "q", "response": "r", "x": ' + b"9" * 5000 + b"}", "number_too_long"),
        (b'{"prompt": "q", "response": "r", "x": ' + b"[" * 200_000, "too_deep"),
        (b'{"prompt": "q", "response": "r", "x": ' + b'{"a":' * 200_000, "too_deep"),
        (b'{"prompt": "q", "response": "\xff"}', "invalid_utf8"),
        (b'{"prompt": "q", "response": "\xed\xa0\x80"}', "invalid_utf8"),
        (b'{"prompt": "q", "response": "\xe2\x82"}', "invalid_utf8"),
        (b'{"prompt": "q"}', "missing_column"),
        (b"{}", "missing_column"),
    ],
)
def test_a_malformed_line_is_one_fault_and_its_neighbours_are_read(line, reason):
    assert read(b"\n".join([GOOD, line, GOOD])) == [(0, VALUES), (1, reason), (2, VALUES)]


def called_from(frames, function):
    return called_from(frames - 1, function) if frames else function()


@pytest.mark.parametrize("nested", [b'{"a":%s}', b"[%s]", b"[0,%s]"])
def test_how_deep_is_too_deep_does_not_depend_on_the_caller(nested):
    line = b'{"prompt": "q", "response": "r", "x": %s}'
    value = b"1"
    for _ in range(99):
        value = nested % value
    for frames in (0, 600):
        rows = called_from(frames, lambda: read(line % value + b"\n" + line % (nested % value)))
        assert rows == [(0, VALUES), (1, "too_deep")]


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_half_a_last_line_is_a_fault(cut):
    assert read(GOOD + b"\n" + GOOD[:cut]) == [(0, VALUES), (1, "malformed_json")]


def test_details_say_where():
    def detail(line):
        [(_, fault)] = read_jsonl(Source(io.BytesIO(line), "f"), None, NAMES)
        return fault.detail

    assert "character 1 of 4" in detail(b'{"a}')
    assert "0xff at offset 2" in detail(b'{"\xff"}')
    assert "'b'" in detail(b'{"a": 1, "b": 2, "b": 3}')
    assert "an array" in detail(b"[1]")
    assert "5000 digits" in detail(b"[" + b"1" * 5000 + b"]")
    assert "input.columns: {response: output}" in detail(b'{"prompt": "q", "output": "r"}')


def test_escapes_are_kept_exactly():
    line = rb'{"prompt": "\u0000\ufeff\u202e", "response": "\ud83d\ude00 \u0301"}'
    assert read(line) == [(0, {"prompt": "\0\ufeff\u202e", "response": "\U0001f600 \u0301"})]


def test_unmapped_columns_are_ignored_and_mapped_ones_renamed():
    names = resolve_columns({"response": "output", "source": ""})
    line = b'{"prompt": "q", "output": "r", "source": 3, "other": [1], "response": 7}'
    assert read(line, names=names) == [(0, VALUES)]


def test_limit_counts_rows_faulty_ones_included():
    data = b"\n".join([b"", GOOD, b"[]", GOOD, GOOD])
    assert read(data, limit=2) == [(1, VALUES), (2, "not_an_object")]


def test_a_line_of_200k_characters_is_read_at_once():
    text = "Wait, \u4e2d\\n" * 25_000
    line = json.dumps({"prompt": "q", "response": text}).encode()
    started = time.perf_counter()
    assert read(line) == [(0, {"prompt": "q", "response": text})]
    assert time.perf_counter() - started < 5


def long_line(num_bytes):
    start, end = b'{"prompt": "q", "response": "', b'"}'
    return start + b"x" * (num_bytes - len(start) - len(end)) + end


def test_a_line_up_to_the_limit_is_read_and_a_longer_one_is_a_fault():
    data = b"\n".join([long_line(MAX_ROW_BYTES), long_line(MAX_ROW_BYTES + 1), GOOD])
    rows = read(data)
    assert [row for row, _ in rows] == [0, 1, 2]
    assert len(rows[0][1]["response"]) > MAX_ROW_BYTES - 40
    assert rows[1:] == [(1, "too_long"), (2, VALUES)]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n" + GOOD])
def test_a_line_over_the_limit_is_skipped_without_being_held(ending):
    chunks = [b"y" * (1 << 20)] * 200

    def stream():
        yield from chunks
        yield ending

    tracemalloc.start()
    lines = list(split_lines(stream()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [(0, None), *([(1, GOOD)] if GOOD in ending else [])]
    assert peak < 2.5 * MAX_ROW_BYTES


@given(st.lists(st.binary(max_size=20)))
def test_lines_are_the_same_however_the_stream_is_cut(chunks):
    lines = list(split_lines(iter(chunks)))
    whole = enumerate(b"".join(chunks).split(b"\n"))
    assert lines == [(number, line) for number, line in whole if line]


PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("compression", PACK)
def test_compressed_files(compression):
    pack = PACK[compression]
    data = b"\n".join([GOOD] * 3) + b"\n"
    expected = [(row, VALUES) for row in range(3)]
    assert read(pack(data), compression) == expected
    assert read(pack(data[:50]) + pack(data[50:]), compression) == expected
    assert read(pack(b""), compression) == []


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-6],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: b"<html>Not Found</html>",
        lambda packed: packed + b"trailing",
        lambda packed: packed[:-9] + bytes(byte ^ 255 for byte in packed[-9:]),
    ],
)
def test_a_damaged_stream_is_one_fault_after_the_rows_before_it(compression, damage):
    # Of random text, so that the file is not much smaller than its content.
    blocks = [json.dumps({"prompt": "q", "response": hex(3**i)}) for i in range(2000)]
    packed = PACK[compression]("\n".join(blocks).encode())
    rows = read(damage(packed), compression)
    assert rows[-1] == (None, "corrupt_file")
    assert [row for row, _ in rows[:-1]] == list(range(len(rows) - 1))
    assert all(isinstance(values, dict) for _, values in rows[:-1])


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("unit", [b"x", b"\n"])
def test_a_bomb_is_one_fault(compression, unit):
    if compression == "gzip":
        block = gzip.compress(unit * (1 << 24), 9)
        packed = block * 10  # 160 MiB
    else:
        block = zstandard.compress(unit * (1 << 26))
        packed = block * 400  # 25 GiB
    started = time.perf_counter()
    assert read(packed, compression) == [(None, "compression_bomb")]
    assert time.perf_counter() - started < 30


class Unplugged(io.BytesIO):
    """A connection that is lost after a while."""

    def read(self, size=-1):
        if self.tell() >= 1000:
            raise ConnectionResetError("connection lost")
        return super().read(1000)


@pytest.mark.parametrize("compression", [None, *PACK])
def test_a_lost_connection_is_not_a_damaged_file(compression):
    lines = b"\n".join(
        json.dumps({"prompt": "q", "response": hex(3**i)}).encode() for i in range(99)
    )
    data = PACK[compression](lines) if compression else lines
    source = Source(Unplugged(data), "s3://bucket/a.jsonl")
    with pytest.raises(InputError, match=r"s3://bucket/a\.jsonl: .*connection lost"):
        list(read_jsonl(source, compression, NAMES))


@given(st.binary())
def test_any_bytes_parse_or_fault(line):
    try:
        parse_json(line)
    except Fault:
        return
    json.loads(line.decode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(json_values)
def test_any_json_parses_to_itself(value):
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=300))
def test_unpack_without_compression_is_the_file(data):
    assert b"".join(unpack(Source(io.BytesIO(data), "f"), None)) == data


def address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_damaged_stream_leaves_no_memory_behind(pack):
    compression = "gzip" if pack is gzip.compress else "zstd"
    damaged = pack(GOOD + b"\n")[:-3]
    before = None
    for _ in range(400):
        assert read(damaged, compression)[-1] == (None, "corrupt_file")
        before = before or address_space()
    assert address_space() - before < 40 << 20
