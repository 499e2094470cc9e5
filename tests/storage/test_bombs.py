"""Files of some hundred bytes that unpack to gigabytes: read by a process whose memory is watched."""

import gzip
import io
import json
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

READER = """
import collections, json, sys, time
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.sentences import split_lines
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import list_inputs
config = InputConfig(path=sys.argv[1], **json.loads(sys.argv[2]))
[file] = list_inputs(config)
reasons, rows, started = collections.Counter(), 0, time.monotonic()
for table in read_file(file, config, split=split_lines):
    reasons.update(table.column("reason").to_pylist())
    rows += table.num_rows
with open("/proc/self/status") as status:
    [peak] = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
print(json.dumps([
    {str(reason): count for reason, count in reasons.items()}, peak >> 10, time.monotonic() - started
]))
"""

FLOOR_MIB = 64
"""What a file may unpack to before its ratio counts."""


def read(tmp_path, name, data, *, peak_mib, max_file_bytes=100_000, **options):
    """Reasons and how often, read in a process of its own that must stay below `peak_mib`."""
    assert len(data) <= max_file_bytes
    path = tmp_path / name
    path.write_bytes(data)
    command = [sys.executable, "-c", READER, str(path), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    reasons, peak, seconds = json.loads(done.stdout)
    assert peak < peak_mib
    assert seconds < 60
    return reasons


def to_parquet(columns, **options):
    sink = io.BytesIO()
    kept = {"compression": "zstd", "store_schema": False, "write_statistics": False}
    pq.write_table(pa.table(columns), sink, **{**kept, **options})
    return sink.getvalue()


def repeated(text, times):
    """One text many times, of which the file holds one."""
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), pa.array([text]))


def in_one_row(values):
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def varint(number, length=0):
    """A number as thrift writes it in a footer, in at least so many bytes."""
    number, data = (number << 1) ^ (number >> 63), []
    while number or len(data) < length or not data:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data[:-1], data[-1] & 0x7F])


def lying(data, told, instead):
    """The file with another number in its footer, which says the same of no page."""
    [length] = struct.unpack("<i", data[-8:-4])
    footer = data[-8 - length : -8]
    assert varint(told) in footer
    footer = footer.replace(varint(told), varint(instead, len(varint(told))))
    return data[: -8 - length] + footer + data[-8:]


def test_20_gb_of_text_over_many_rows(tmp_path):
    rows = 20_000
    data = to_parquet({"prompt": ["q"] * rows, "response": repeated("x" * 1_000_000, rows)})
    reasons = read(tmp_path, "a.parquet", data, peak_mib=800, max_file_bytes=1000)
    assert reasons["None"] <= FLOOR_MIB * 1.1
    assert reasons["compression_bomb"] == 1  # more rows than these bytes can be believed to hold


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["openr1-math-220k", "plain"])
def test_20_gb_of_text_in_one_row(tmp_path, layout):
    texts = repeated("x" * 1_000_000, 20_000)
    roles = repeated("user", 20_000)
    messages = pa.StructArray.from_arrays([roles, texts], ["role", "content"])
    columns = {
        "openr1-math-220k": {"problem": ["q"], "generations": in_one_row(texts)},
        "plain": {"messages": in_one_row(messages)},
    }
    data = to_parquet(columns[layout])
    reasons = read(tmp_path, "a.parquet", data, peak_mib=2200, max_file_bytes=1000, format=layout)
    assert reasons == {"compression_bomb": 1}


@pytest.mark.slow
def test_two_hundred_million_numbers_in_one_row(tmp_path):
    """A page's own count is what is decoded, whatever the footer says of it."""
    count = 200_000_123
    numbers = in_one_row(pa.array(np.zeros(count, np.int8)))
    data = to_parquet(
        {"prompt": ["q"], "response": ["r"], "metadata": numbers}, data_page_size=1 << 30
    )
    for bomb in (data, lying(data, count, 1)):
        reasons = read(tmp_path, "a.parquet", bomb, peak_mib=2200, max_file_bytes=1000)
        assert sum(reasons.values()) == 1
        assert set(reasons) <= {"compression_bomb", "too_long"}


@pytest.mark.slow
@pytest.mark.parametrize("honest", [True, False])
def test_one_text_of_a_gigabyte(tmp_path, honest):
    data = to_parquet({"prompt": ["q"], "response": ["x" * (1 << 30)]}, use_dictionary=False)
    if not honest:
        file = pq.ParquetFile(io.BytesIO(data))
        data = lying(data, file.metadata.row_group(0).column(1).total_uncompressed_size, 60)
    reasons = read(tmp_path, "a.parquet", data, peak_mib=2200)
    assert sum(reasons.values()) == 1
    assert set(reasons) <= {"compression_bomb", "too_long"}


@pytest.mark.slow
def test_every_text_begins_with_the_one_before(tmp_path):
    """Delta encoding: each of 2,000 texts of 1 MB is written as one byte."""
    texts = ["x" * 1_000_000 + str(n) for n in range(2_000)]
    data = to_parquet(
        {"prompt": ["q"] * len(texts), "response": texts},
        use_dictionary=False,
        column_encoding={"prompt": "PLAIN", "response": "DELTA_BYTE_ARRAY"},
    )
    reasons = read(tmp_path, "a.parquet", data, peak_mib=1500)
    assert sum(reasons.values()) == len(texts)
    assert set(reasons) == {"None", "compression_bomb"}


def pack_gzip(data):
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("name", "pack"), [("a.jsonl.gz", pack_gzip), ("a.jsonl.zst", zstandard.compress)]
)
@pytest.mark.parametrize("line", [b"x" * (50 << 20), b"\n" * (200 << 20), b"[[" * (100 << 20)])
def test_a_long_line_is_never_held(tmp_path, name, pack, line):
    data = pack(line)
    reasons = read(tmp_path, name, data, peak_mib=400, max_file_bytes=250_000)
    assert set(reasons) <= {"compression_bomb", "too_long", "None"}
    assert sum(reasons.values()) == 1


@pytest.mark.slow
def test_a_stream_of_gigabytes_is_not_read_to_its_end(tmp_path):
    packer = zstandard.ZstdCompressor().compressobj()
    chunk = b'{"prompt": "q", "response": "r"}\n' * 32_768
    data = b"".join([*(packer.compress(chunk) for _ in range(5_000)), packer.flush()])
    reasons = read(
        tmp_path, "a.jsonl.zst", data, peak_mib=400, max_file_bytes=10 << 20, limit=99_999
    )
    assert reasons == {"None": 99_999}
