"""The whole path of one input file, from bytes to ledger and parts, and the laws that hold for any bytes."""

import json
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.sentences import split_sentences, splitter_id
from rdpt_ray.pipeline.ingest import Destination, read_rows, write_bucket
from rdpt_ray.storage.explain import explain_input
from rdpt_ray.storage.explain_text import render_explanations
from rdpt_ray.storage.faults import MAX_DETAIL_CHARS, REASONS
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.layouts import PLAIN
from rdpt_ray.storage.parts import PART_CHARS, part_key
from rdpt_ray.storage.reading import Reading, choose_reading, read_types
from rdpt_ray.storage.schemas import INGESTED, TRACES

MAX_SECONDS = 20
"""Of processor time for one file; what takes longer is a hang."""

ONE_IN = 16
"""How many cases are explained and go on into a store: that takes several times as long as reading."""

SHARED_MEMORY = Path("/dev/shm")


class Case(NamedTuple):
    """One input file.

    Attributes:
        name: Of the file; says which kind it is.
        data: What is in it.
        options: Of the input config.
        lines: The JSONL in it, where it is whole.
        rows: The rows in it as Parquet, where it is whole.
    """

    name: str
    data: bytes
    options: dict[str, Any] = {}  # noqa: RUF012
    lines: bytes | None = None
    rows: list[dict[str, Any]] | None = None


def check(case: Case) -> list[dict[str, Any]]:
    """Read a file twice, hold what comes of it to every law, and return its rows."""
    started = time.process_time()
    fsspec.filesystem("memory").pipe(f"/fuzz/{case.name}", case.data)
    config = InputConfig(path=f"memory://fuzz/{case.name}", **case.options)
    [file] = list_inputs(config)
    with suppress(InputError):
        check_columns([file], config)
    reading = choose_reading(config, read_types(file), file.uri)
    tables = list(read_file(file, config, split=split_sentences))
    for table in tables:
        assert table.schema == INGESTED
        table.validate(full=True)
    assert tables == list(read_file(file, config, split=split_sentences))
    rows = [row for table in tables for row in table.to_pylist()]
    for row in rows:
        _check_row(row)
    _check_places(rows, case, config.limit)
    _check_contents(rows, case, reading)
    if rows and zlib.crc32(case.data) % ONE_IN == 0:
        told = render_explanations(explain_input(config))
        assert all(line.isprintable() for line in told.split("\n"))
        _check_stored(file, config, rows)
    assert time.process_time() - started < MAX_SECONDS
    return rows


def _check_row(row: dict[str, Any]) -> None:
    """A trace whose sentences tile it, or a fault that says why."""
    if row["reason"] is not None:
        assert row["reason"] in REASONS
        assert 0 < len(row["detail"]) <= MAX_DETAIL_CHARS
        content = ("trace_id", "prompt_id", "response", "messages", "sentences", "complete")
        assert all(row[name] is None for name in content)
        return
    ends = [0, *(span["end"] for span in row["sentences"])]
    assert [span["start"] for span in row["sentences"]] == ends[:-1]
    assert all(start < end for start, end in pairwise(ends))
    assert ends[-1] == len(row["response"])
    assert row["response"].strip() == row["response"] != ""
    assert 0 <= row["answer_start"] <= len(row["response"])
    assert len(row["trace_id"]) == len(row["prompt_id"]) == 32
    assert row["messages"]
    assert row["metadata"] is None or isinstance(json.loads(row["metadata"]), object)
    assert row["detail"] is row["column"] is None


def _check_places(rows: list[dict[str, Any]], case: Case, limit: int | None) -> None:
    """Every input row is there, in order, with all its candidates, and nothing else is."""
    places = [(row["row"], row["item"]) for row in rows if row["row"] is not None]
    assert places == sorted(set(places))
    whole = [row for row in rows if row["row"] is None]
    assert all(row["reason"] and row["item"] is None for row in whole)
    expected = _expected_rows(case)
    if expected is not None:
        assert not whole
        assert sorted({row for row, _ in places}) == expected[:limit]


def _expected_rows(case: Case) -> list[int] | None:
    """Which rows the file has; None where that is not known, or it has none at all."""
    if case.rows is not None:
        return list(range(len(case.rows)))
    if case.lines is None or not case.data:
        return None
    lines = case.lines.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [number for number, line in enumerate(lines) if line.strip(b" \t\r")]


def _check_contents(rows: list[dict[str, Any]], case: Case, reading: Reading) -> None:
    """Text comes through as it is: no character changed, none invented; and no candidate is lost."""
    lines = (case.lines or b"").removeprefix(b"\xef\xbb\xbf").split(b"\n")
    num_items = Counter(row["row"] for row in rows)
    for row in rows:
        if row["row"] is None or row["reason"] in _OF_A_ROW:
            continue
        if case.rows is not None:
            record = case.rows[row["row"]]
        elif case.lines is not None:
            record = json.loads(lines[row["row"]])
        else:
            continue
        listed = record.get(reading.layout.lists.get("response", ""))
        if isinstance(listed, list) and listed:
            assert num_items[row["row"]] == len(listed)
        if row["reason"] is None:
            _check_text(row, record, reading.layout is PLAIN and not case.options.get("columns"))


_OF_A_ROW = (
    *("malformed_json", "not_an_object", "duplicate_key", "non_finite_number", "number_too_long"),
    *("too_deep", "invalid_utf8", "unreadable_value", "too_long"),
    *("corrupt_row_group", "compression_bomb"),
)
"""Faults of a row before its candidates are told apart."""


def _check_text(row: dict[str, Any], record: dict[str, Any], plain: bool) -> None:
    texts = set(_texts(record))
    assert all(message["content"] in texts | {""} for message in row["messages"])
    for piece in row["response"].split("\n\n"):
        assert any(piece in text for text in texts)
    response = record.get("response")
    if plain and isinstance(response, str) and "<" not in response:
        assert row["response"] == response.strip()


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    left = [value]
    while left:
        entry = left.pop()
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict | list):
            left += entry.values() if isinstance(entry, dict) else entry


def _check_stored(file: Any, config: InputConfig, rows: list[dict[str, Any]]) -> None:
    """The ledger has every row, the parts every trace once and unchanged, and a second time is no change."""
    num_buckets = 2
    tables = read_rows(
        {"index": [0]}, files=[file], configs=[config], num_buckets=num_buckets, unit="sentence"
    )
    bucketed = pa.concat_tables(tables)
    folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as path:
        to = Destination(open_root(path), "d", "runs/r", num_buckets)
        found = [_written(bucketed, bucket, to) for bucket in range(num_buckets)]
        names = to.store.names("")
        assert found == [_written(bucketed, bucket, to) for bucket in range(num_buckets)]
        assert names == to.store.names("")
        ledger = [row for name in to.store.names("runs/r/rows") for row in _rows(to, name)]
        parts = {name: to.store.read_table(name) for name in to.store.names("traces")}
    _check_ledger(ledger, rows, found)
    _check_parts(parts, rows)


def _written(bucketed: pa.Table, bucket: int, to: Destination) -> list[dict[str, Any]]:
    rows = bucketed.filter(pa.compute.equal(bucketed.column("bucket"), bucket))
    return write_bucket(rows, to=to).to_pylist() if rows.num_rows else []


def _rows(to: Destination, name: str) -> list[dict[str, Any]]:
    return to.store.read_table(name).to_pylist()


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["file"], row["row"], row["item"]


def _check_ledger(
    ledger: list[dict[str, Any]], rows: list[dict[str, Any]], found: list[list[dict[str, Any]]]
) -> None:
    assert Counter(map(_place, ledger)) == Counter(map(_place, rows))
    assert sum(record["num_rows"] for [record] in filter(None, found)) == len(rows)
    reasons = {_place(row): row["reason"] for row in rows}
    for row in ledger:
        assert row["reason"] in (reasons[_place(row)], "duplicate")
    kept = [row["trace_id"] for row in ledger if row["reason"] is None]
    assert len(kept) == len(set(kept))
    assert set(kept) == {row["trace_id"] for row in rows if row["reason"] is None}


def _check_parts(parts: dict[str, pa.Table], rows: list[dict[str, Any]]) -> None:
    traces = {row["trace_id"]: row for row in reversed(rows) if row["reason"] is None}
    stored = [trace for part in parts.values() for trace in part.to_pylist()]
    assert sorted(trace["trace_id"] for trace in stored) == sorted(traces)
    for trace in stored:
        first = traces[trace["trace_id"]]
        assert trace == {
            **{name: first[name] for name in TRACES.names},
            "candidate": trace["candidate"],
        }
    for name, part in parts.items():
        assert part.schema.remove_metadata() == TRACES
        assert Path(name).stem == part_key(part, splitter_id())
        sizes = [len(response) for response in part.column("response").to_pylist()]
        assert len(sizes) == 1 or sum(sizes) <= PART_CHARS
