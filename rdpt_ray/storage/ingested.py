"""One input file -> tables of canonical traces and faults, one row per candidate of an input row."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import index
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from rdpt_ray.storage.canonical import Trace, to_trace
from rdpt_ray.storage.columns import Row
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.layouts import Candidate
from rdpt_ray.storage.reading import Reading, choose_reading, read_rows, read_types, recognises
from rdpt_ray.storage.schemas import INGESTED, MESSAGES, SENTENCES
from rdpt_ray.storage.sources import InputFile, open_input

Split = Callable[[str], list[tuple[int, int]]]

_FROM_TRACE = (
    "trace_id",
    "prompt_id",
    "response",
    "answer_start",
    "complete",
    "reference_answer",
    "correct",
    "teacher_name",
    "source",
    "license",
    "metadata",
)
_FROM_FAULT = ("reason", "column", "detail")
_WITH_DEFAULT = ("license", "source", "teacher_name")

_SPLITTER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
    re.error,
)
"""What a splitter's own mistake over one text looks like. Others (no memory, a file that is not there) are
not the text's fault and end the task."""


class Ingested(NamedTuple):
    """One candidate: its place in the file, and a trace with its sentences or a fault."""

    row: int | None
    item: int | None
    trace: Trace | None
    spans: list[tuple[int, int]]
    fault: Fault | None


def read_file(
    file: InputFile,
    config: InputSpec,
    *,
    split: Split,
    max_rows: int = 512,
    max_bytes: int = 64 << 20,
) -> Iterator[pa.Table]:
    """Read one input file.

    Every candidate of every row is one row here. Nothing in a row or file raises: what cannot become
    a trace has `reason`, `column` and `detail` (see `faults.REASONS`), a row without candidates is
    one such row, and so is a file that cannot be read at all, whose `row` and `item` are null.
    `candidate` is left null.

    Args:
        file: From `list_inputs`.
        config: By which layout or columns, how many input rows, and facts for rows that have none.
        split: Cuts a response into sentences: half-open character spans that tile it. A row on which
            it fails is a fault.
        max_rows: Rows per table.
        max_bytes: Text per table (UTF-8), unless one row has more.

    Yields:
        Tables of the schema INGESTED in the file's order.

    Raises:
        ConfigError: if the config maps an unknown canonical column.
        InputError: if the file has changed or gone since it was listed, or its file system fails
            while it is read; the file is not at fault then, and another attempt may succeed.
    """
    reading = reading_of(file, config)
    with open_input(file) as source:
        rows = read_rows(file, source, reading.names, config.limit)
        yield from ingest_rows(
            rows, file, config, reading, split=split, max_rows=max_rows, max_bytes=max_bytes
        )


def reading_of(file: InputFile, config: InputSpec) -> Reading:
    """How a file is read; see `read_file` for what it raises."""
    return choose_reading(config, read_types(file) if recognises(config) else {}, file.uri)


def ingest_rows(
    rows: Iterable[Row],
    file: InputFile,
    config: InputSpec,
    reading: Reading,
    *,
    split: Split,
    max_rows: int = 512,
    max_bytes: int = 64 << 20,
) -> Iterator[pa.Table]:
    """Raw rows of a file to tables; see `read_file`, which gives it all of them."""
    defaults = {name: getattr(config.defaults, name) for name in _WITH_DEFAULT}
    held: list[Ingested] = []
    num_bytes = 0
    for raw in rows:
        for entry in ingest_row(raw, reading, split):
            size = entry.trace.num_bytes if entry.trace else 0
            if held and (len(held) == max_rows or num_bytes + size > max_bytes):
                yield _to_table(file.uri, held, defaults)
                held, num_bytes = [], 0
            held.append(entry)
            num_bytes += size
    if held:
        yield _to_table(file.uri, held, defaults)


def ingest_row(raw: Row, reading: Reading, split: Split) -> list[Ingested]:
    """One input row to its candidates, at least one."""
    row, values = raw
    if isinstance(values, Fault):
        return [Ingested(row, None if row is None else 0, None, [], values)]
    return [ingest_candidate(row, found, split) for found in reading.candidates(values)]


def ingest_candidate(row: int | None, candidate: Candidate, split: Split) -> Ingested:
    """One candidate to a trace, or a fault that names the input's own column."""
    item, values, columns = candidate
    if isinstance(values, Fault):
        return Ingested(row, item, None, [], values)
    try:
        trace = to_trace(values)
        spans = cut_sentences(trace.response, split)
    except Fault as fault:
        column = columns.get(fault.column or "", fault.column)
        return Ingested(row, item, None, [], Fault(fault.reason, column, fault.detail))
    return Ingested(row, item, trace, spans, None)


def cut_sentences(text: str, split: Split) -> list[tuple[int, int]]:
    """The sentences of a response, which tile it: anything else must never be scored.

    Raises:
        Fault: `splitter_failed` or `sentences_do_not_tile`; a splitter may be anybody's code.
    """
    try:
        spans = [(index(start), index(end)) for start, end in split(text)]
    except _SPLITTER_ERRORS as error:
        detail = f"the splitter raised {type(error).__name__}: {error}"
        raise Fault("splitter_failed", detail=detail) from error
    at = 0
    for start, end in spans:
        if start != at or end <= start:
            detail = f"a sentence has the span [{start}, {end}), expected one from {at}"
            raise Fault("sentences_do_not_tile", detail=detail)
        at = end
    if at != len(text):
        detail = f"the sentences end at {at}, the response at {len(text)}"
        raise Fault("sentences_do_not_tile", detail=detail)
    return spans


def _to_table(uri: str, entries: list[Ingested], defaults: Mapping[str, str | None]) -> pa.Table:
    traces = [entry.trace for entry in entries]
    faults = [entry.fault for entry in entries]
    columns: dict[str, pa.Array] = {
        "file": pa.array([uri] * len(entries), pa.string()),
        "row": pa.array([entry.row for entry in entries], pa.int64()),
        "item": pa.array([entry.item for entry in entries], pa.int32()),
        "messages": pa.array([_messages(trace) for trace in traces], MESSAGES),
        "sentences": _spans(entries),
        "candidate": pa.nulls(len(entries), pa.int32()),
    }
    for name in _FROM_TRACE:
        values = [getattr(trace, name, None) for trace in traces]
        if (default := defaults.get(name)) is not None:
            values = [
                default if trace and not (value and value.strip()) else value
                for trace, value in zip(traces, values, strict=True)
            ]
        columns[name] = pa.array(values, INGESTED.field(name).type)
    for name in _FROM_FAULT:
        values = [getattr(fault, name, None) for fault in faults]
        columns[name] = pa.array(values, INGESTED.field(name).type)
    return pa.table([columns[name] for name in INGESTED.names], schema=INGESTED)


def _messages(trace: Trace | None) -> list[dict[str, str]] | None:
    if trace is None:
        return None
    return [{"role": role, "content": content} for role, content in trace.messages]


def _spans(entries: list[Ingested]) -> pa.Array:
    """The sentences of each trace as a list column, null for a fault."""
    flat = np.array(list(chain.from_iterable(entry.spans for entry in entries)), np.int32)
    flat = flat.reshape(-1, 2)
    offsets = np.cumsum([0, *(len(entry.spans) for entry in entries)], dtype=np.int32)
    spans = pa.StructArray.from_arrays(
        [pa.array(flat[:, 0].copy()), pa.array(flat[:, 1].copy())],
        fields=list(SENTENCES.value_type),
    )
    mask = pa.array([entry.trace is None for entry in entries], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), spans, type=SENTENCES, mask=mask)
