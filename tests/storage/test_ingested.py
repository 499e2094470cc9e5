"""One input file to tables of traces and faults: every row is accounted for, whatever it holds."""

import gzip
import io
import json
import re
import time

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.faults import REASONS
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.schemas import INGESTED

ROW = {
    "prompt": "2+2?",
    "response": "<think>two. twos.</think>4",
    "correct": True,
    "license": "mit",
    "metadata": {"id": 7},
}


def split(text):
    """A splitter: after every full stop."""
    ends = [index + 1 for index, char in enumerate(text[:-1]) if char == "."] + [len(text)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def tables(path, *, max_rows=512, max_bytes=64 << 20, **options):
    config = InputConfig(path=str(path), **options)
    [file] = list_inputs(config)
    return list(read_file(file, config, split=split, max_rows=max_rows, max_bytes=max_bytes))


def read(path, **options):
    found = tables(path, **options)
    assert all(table.schema == INGESTED for table in found)
    for table in found:
        table.validate(full=True)
    return [row for table in found for row in table.to_pylist()]


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITERS = {
    "a.jsonl": as_lines,
    "a.json": as_lines,
    "a.jsonl.gz": lambda rows: gzip.compress(as_lines(rows)),
    "a.jsonl.zst": lambda rows: zstandard.compress(as_lines(rows)),
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WRITERS[name]([ROW, ROW]))
    first, second = read(path)
    assert first == {
        "file": str(path),
        "row": 0,
        "item": 0,
        "trace_id": first["trace_id"],
        "prompt_id": first["prompt_id"],
        "messages": [{"role": "user", "content": "2+2?"}],
        "response": "two. twos.\n\n4",
        "answer_start": 12,
        "sentences": [{"start": 0, "end": 4}, {"start": 4, "end": 10}, {"start": 10, "end": 13}],
        "candidate": None,
        "complete": True,
        "reference_answer": None,
        "correct": True,
        "teacher_name": None,
        "source": None,
        "license": "mit",
        "metadata": '{"id":7}',
        "reason": None,
        "column": None,
        "detail": None,
    }
    assert second == {**first, "row": 1}
    assert len(first["trace_id"]) == len(first["prompt_id"]) == 32


@pytest.mark.parametrize("name", WRITERS)
def test_any_file_system(name):
    path = f"memory://ingested/{name}"
    fsspec.filesystem("memory").pipe(path, WRITERS[name]([ROW]))
    [row] = read(path)
    assert row["file"] == f"memory:///ingested/{name}"
    assert row["reason"] is None


@pytest.fixture
def bucket(monkeypatch):
    """An S3 bucket on this machine."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("ingested-input")
    yield fs
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.slow
def test_s3(bucket):
    for name, write in WRITERS.items():
        bucket.pipe(f"ingested-input/deep/{name}", write([ROW] * 3))
    config = InputConfig(path="s3://ingested-input/deep")
    files = list_inputs(config)
    check_columns(files, config)
    assert [file.uri for file in files] == [
        f"s3://ingested-input/deep/a.{ending}"
        for ending in ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
    ]
    for file in files:
        assert "-etag:" in file.fingerprint
        [table] = read_file(file, config, split=split)
        assert table.num_rows == table.column("reason").null_count == 3
    bucket.pipe("ingested-input/deep/a.parquet", as_parquet([ROW] * 2))
    with pytest.raises(InputError, match=r"s3://ingested-input/deep/a\.parquet: has changed"):
        list(read_file(files[-1], config, split=split))
    with pytest.raises(InputError, match="s3://ingested-input/none does not exist"):
        list_inputs(InputConfig(path="s3://ingested-input/none"))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.parquet", b"", "empty_file"),
        ("a.jsonl", b"", "empty_file"),
        ("a.jsonl.gz", b"", "empty_file"),
        ("a.parquet", b"<html>503</html>" * 9, "corrupt_file"),
        ("a.jsonl.zst", b"<html>503</html>", "corrupt_file"),
        ("a.jsonl.gz", b"<html>503</html>", "corrupt_file"),
    ],
)
def test_an_unreadable_file_is_one_row(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    [row] = read(tmp_path / name)
    assert (row["file"], row["row"], row["reason"]) == (str(tmp_path / name), None, reason)
    assert row["item"] is None
    assert row["detail"]
    assert row["response"] is row["sentences"] is row["messages"] is None


def test_a_fault_names_file_row_and_the_column_as_the_input_calls_it(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([{"q": "x", "out": "<think>"}, {"q": 3, "out": "y"}, {"q": "x"}]))
    rows = read(path, columns={"prompt": "q", "response": "out"})
    assert [(row["row"], row["reason"], row["column"]) for row in rows] == [
        (0, "unclosed_reasoning", "out"),
        (1, "wrong_type", "q"),
        (2, "missing_column", "out"),
    ]
    assert all(row["file"] == str(path) for row in rows)


def test_a_wrong_mapping_is_a_config_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines([ROW]))
    with pytest.raises(ConfigError, match="responce"):
        read(tmp_path / "a.jsonl", columns={"responce": "x"})


def test_a_file_that_changed_is_an_error_not_a_quarantine(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW]))
    config = InputConfig(path=str(path))
    [file] = list_inputs(config)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="has changed"):
        list(read_file(file, config, split=split))


@pytest.mark.parametrize("name", WRITERS)
def test_limit(tmp_path, name):
    (tmp_path / name).write_bytes(WRITERS[name]([ROW] * 10))
    assert [row["row"] for row in read(tmp_path / name, limit=3)] == [0, 1, 2]


def test_tables_are_bounded_by_rows_and_by_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW] * 10))
    assert [table.num_rows for table in tables(path, max_rows=4)] == [4, 4, 2]
    row_bytes = len("user2+2?") + len("two. twos.\n\n4") + len('mit{"id":7}')
    assert [table.num_rows for table in tables(path, max_bytes=3 * row_bytes)] == [3, 3, 3, 1]
    assert [table.num_rows for table in tables(path, max_bytes=1)] == [1] * 10


@pytest.mark.parametrize("column", ["metadata", "reference_answer", "source"])
def test_what_rows_carry_beside_prompt_and_response_is_text_too(tmp_path, column):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([{**ROW, column: "x" * 1000}] * 10))
    assert max(table.num_rows for table in tables(path, max_bytes=3500)) == 3


def test_nul_bom_and_bidi_survive_to_the_table(tmp_path):
    text = "\ufeffa\0b \u202ec\u202c e\u0301"
    for name in ("a.jsonl", "a.parquet"):
        path = tmp_path / name
        path.write_bytes(WRITERS[name]([{"prompt": text, "response": text}]))
        [row] = read(path)
        assert row["response"] == row["messages"][0]["content"] == text


def test_200k_characters_in_one_row(tmp_path):
    text = "Wait, is it so. " * 12_500
    for name in ("a.jsonl", "a.parquet"):
        path = tmp_path / name
        path.write_bytes(WRITERS[name]([{"prompt": "q", "response": text}, ROW]))
        started = time.perf_counter()
        first, _ = read(path)
        assert time.perf_counter() - started < 10
        assert (first["reason"], first["response"]) == (None, text.strip())


def read_split(path, splitter):
    config = InputConfig(path=str(path))
    [file] = list_inputs(config)
    rows = [row for table in read_file(file, config, split=splitter) for row in table.to_pylist()]
    for row in rows:
        check_row(row)
    return rows


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 3)],
        [(1, 13)],
        [(0, 5), (6, 13)],
        [(0, 7), (5, 13)],
        [(0, 13), (13, 13)],
        [(0, 14)],
        [(0, 2**40)],
        [(-1, 13)],
        [],
    ],
)
def test_sentences_that_do_not_tile_are_a_fault_of_their_row_only(tmp_path, spans):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW, {**ROW, "prompt": "3+1?", "response": "four"}, ROW]))
    rows = read_split(path, lambda text: [(0, 4)] if text == "four" else spans)
    assert [row["reason"] for row in rows] == [
        "sentences_do_not_tile",
        None,
        "sentences_do_not_tile",
    ]
    assert rows[1]["sentences"] == [{"start": 0, "end": 4}]


def deep(text):
    return deep(text + "x")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda text: None,
        lambda text: [(0.0, float(len(text)))],
        lambda text: [(0, 4, 8)],
        lambda text: ["no"],
        lambda text: [("0", "4")],
        lambda text: [(0, 1 // 0)],
        lambda text: text[99],
        lambda text: {}[text],
        lambda text: text.sentences,
        lambda text: int(text),
        lambda text: [next(iter([]))],
        lambda text: re.split("*" + text, text),
        lambda text: text.encode("ascii") and text.encode().decode("utf-16"),
        deep,
    ],
)
def test_a_splitter_that_raises_is_a_fault_of_its_row_only(tmp_path, mistake):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW, {**ROW, "response": "fine"}]))
    rows = read_split(path, lambda text: [(0, 4)] if text == "fine" else mistake(text))
    assert [row["reason"] for row in rows] == ["splitter_failed", None]
    assert re.match(r"the splitter raised \w+: ", rows[0]["detail"])


def test_a_splitter_may_give_any_whole_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW]))
    [row] = read_split(path, lambda text: np.array([[0, 5], [5, len(text)]]))
    assert row["sentences"] == [{"start": 0, "end": 5}, {"start": 5, "end": 13}]


def test_a_splitter_without_memory_is_not_the_rows_fault(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([ROW]))

    def starved(text):
        raise MemoryError

    with pytest.raises(MemoryError):
        read_split(path, starved)


def check_row(row):
    if row["reason"] is None:
        ends = [0, *(span["end"] for span in row["sentences"])]
        assert [span["start"] for span in row["sentences"]] == ends[:-1]
        assert ends[-1] == len(row["response"])
        assert row["prompt_id"]
    else:
        assert row["reason"] in REASONS
        assert row["detail"]
        assert row["trace_id"] is row["sentences"] is row["complete"] is None


def non_blank(data):
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [number for number, line in enumerate(lines) if line.strip(b" \t\r")]


def read_bytes(data):
    fsspec.filesystem("memory").pipe("/fuzz/a.jsonl", data)
    rows = read("memory://fuzz/a.jsonl")
    for row in rows:
        check_row(row)
    return rows


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_give_one_row_per_line_that_is_not_blank(data):
    assert [row["row"] for row in read_bytes(data)] == non_blank(data)


pieces = st.sampled_from(
    [b'{"prompt": "q", "response": "r"}', b'"', b"{", b"}", b"\\u", b"d800", b"\xff", b"\n", b","]
)


@given(st.lists(pieces, min_size=1).map(b"".join))
def test_broken_json_gives_one_row_per_line(data):
    assert [row["row"] for row in read_bytes(data)] == non_blank(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
records = st.dictionaries(
    st.sampled_from(["prompt", "response", "messages", "reasoning", "answer", "metadata", "x"]),
    st.text() | json_values,
)


@given(st.lists(records | json_values, min_size=1, max_size=5))
def test_any_json_values_give_one_row_each(values):
    data = as_lines(values)
    assert [row["row"] for row in read_bytes(data)] == list(range(len(values)))


texts = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
def test_jsonl_and_parquet_hold_the_same_traces(values):
    rows = [
        {"prompt": prompt, "reasoning": reasoning, "answer": answer}
        for prompt, reasoning, answer in values
    ]
    found = []
    for name in ("a.jsonl", "a.parquet"):
        fsspec.filesystem("memory").pipe(f"/same/{name}", WRITERS[name](rows))
        found.append([{**row, "file": ""} for row in read(f"memory://same/{name}")])
    assert found[0] == found[1]
