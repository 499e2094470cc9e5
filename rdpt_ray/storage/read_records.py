"""A file of recorded log-probabilities -> tables of records, one row per row of the file.

Nothing a row holds ends the job: what is no record keeps its id and says what is wrong with it, and a row
or file without a readable id is a row with an error only.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import types

from rdpt_ray.errors import InputError
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.read_jsonl import parse_json, split_lines, unpack
from rdpt_ray.storage.read_parquet import decode, open_parquet, to_values
from rdpt_ray.storage.recorded import RecordSpec
from rdpt_ray.storage.schemas import RECORDS
from rdpt_ray.storage.sources import InputFile, Source, open_input

BATCH_ROWS = 16
"""A row holds up to 65k numbers."""


def check_records(file: InputFile, spec: RecordSpec) -> None:
    """Look whether a Parquet file has the columns; reads its footer only. JSONL has no schema.

    Raises:
        InputError: naming the file, the column and the columns there.
    """
    if file.format != "parquet":
        return
    with open_input(file) as source:
        try:
            schema = open_parquet(source).schema_arrow
        except Fault:
            return  # a damaged file costs its own records only
    for column in (spec.id_column, spec.tokens_column, spec.logprobs_column):
        if schema.names.count(column) != 1:
            raise InputError(
                f"{file.uri}: expected one column {column!r}, found {', '.join(schema.names)}; set"
                " recorded.id_column, recorded.tokens_column and recorded.logprobs_column"
            )
    for column, fits in (
        (spec.tokens_column, types.is_integer),
        (spec.logprobs_column, types.is_floating),
    ):
        kind = schema.field(column).type
        if not (_is_list(kind) and fits(kind.value_type)):
            numbers = "whole numbers" if fits is types.is_integer else "floats"
            raise InputError(
                f"{file.uri}: column {column!r}: expected lists of {numbers}, got {kind}"
            )


def read_records(file: InputFile, spec: RecordSpec) -> Iterator[pa.Table]:
    """Read one file, a few rows at a time.

    Args:
        file: From `list_inputs`.
        spec: Which columns hold what.

    Yields:
        Tables of the schema RECORDS. `id` is null where there is none to be read.

    Raises:
        InputError: if the file has changed or gone since it was listed, or its file system fails.
    """
    with open_input(file) as source:
        rows = _parquet_rows if file.format == "parquet" else _jsonl_rows
        held: list[dict[str, Any]] = []
        for row in rows(file, source, spec):
            held.append(row)
            if len(held) == BATCH_ROWS:
                yield _table(held)
                held = []
        if held:
            yield _table(held)


def _parquet_rows(file: InputFile, source: Source, spec: RecordSpec) -> Iterator[dict[str, Any]]:
    columns = [spec.id_column, spec.tokens_column, spec.logprobs_column]
    try:
        batches = open_parquet(source).iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
        for batch, _ in decode(batches):
            values = (to_values(batch.column(column), column) for column in columns)
            for identity, token_ids, logprobs in zip(*values, strict=True):
                yield _row(identity, token_ids, logprobs)
    except Fault as fault:
        yield _unreadable(file, fault)
    except (OSError, pa.ArrowException, MemoryError, ValueError, KeyError) as error:
        source.raise_failure()
        yield _unreadable(file, Fault("corrupt_file", detail=str(error)))


def _jsonl_rows(file: InputFile, source: Source, spec: RecordSpec) -> Iterator[dict[str, Any]]:
    lines = split_lines(unpack(source, file.compression))
    try:
        for number, line in lines:
            try:
                record = parse_json(line) if line is not None else None
            except Fault as fault:
                yield _unreadable(file, fault, number)
                continue
            if not isinstance(record, dict):
                yield _unreadable(file, Fault("not_an_object"), number)
                continue
            columns = (spec.id_column, spec.tokens_column, spec.logprobs_column)
            yield _row(*(record.get(column) for column in columns))
    except Fault as fault:
        yield _unreadable(file, fault)


def _row(identity: Any, token_ids: Any, logprobs: Any) -> dict[str, Any]:
    if isinstance(identity, Fault):
        return {"error": f"{identity.reason}: the id cannot be read: {identity.detail}"}
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        return {"error": f"an id is {type(identity).__name__}, expected text or a whole number"}
    record: dict[str, Any] = {"id": str(identity).encode("utf-8", "replace").decode()}
    if not isinstance(token_ids, list) or not all(_is_token(value) for value in token_ids):
        return {**record, "error": "recorded_malformed: the token ids are no list of whole numbers"}
    if not isinstance(logprobs, list) or not all(_is_number(value) for value in logprobs):
        return {
            **record,
            "error": "recorded_malformed: the log-probabilities are no list of numbers",
        }
    return {**record, "token_ids": token_ids, "logprobs": [float(value) for value in logprobs]}


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**31)


def _unreadable(file: InputFile, fault: Fault, row: int | None = None) -> dict[str, Any]:
    where = file.uri if row is None else f"{file.uri} row {row}"
    return {"error": f"{fault.reason}: {where}: {fault.detail or 'cannot be read'}"}


def _is_list(kind: pa.DataType) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=RECORDS)
