"""A Parquet file -> one raw row or fault per row, a few rows at a time."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rdpt_ray.storage.columns import ColumnNames, Row, check_schema
from rdpt_ray.storage.faults import MAX_ROW_BYTES, Fault
from rdpt_ray.storage.sources import Source

_DAMAGE = (pa.ArrowException, ValueError, OverflowError)
"""What pyarrow raises for damaged bytes, beside OSError; found by flipping bytes of valid files."""

_MAX_BATCH_ROWS = 64
_BATCH_BYTES = 1 << 30
"""Bounds what a batch decodes to, even where one dictionary entry stands for every row: a file of 305
bytes can hold 20 GB of text and say 1 MB in its footer."""

_MAX_FAULTS = 1 << 20
"""A damaged footer can claim any number of rows; above this, it counts as unknown."""


def read_parquet(source: Source, names: ColumnNames, *, limit: int | None = None) -> Iterator[Row]:
    """Read the rows of a Parquet file in order, decoding at most 64 at a time.

    A file whose footer cannot be read is one fault for the file as a whole. A row group that cannot
    be decoded is one fault for each of its rows that was not read before; the others are read.

    Args:
        source: The open file.
        names: The columns to read.
        limit: Read only the first rows, faulty ones included.

    Raises:
        InputError: if the file system fails while reading.
    """
    return islice(_read(source, names), limit)


def open_parquet(source: Source) -> pq.ParquetFile:
    """Read the footer.

    Raises:
        Fault: `corrupt_file`.
        InputError: if the file system fails while reading.
    """
    try:
        file = pq.ParquetFile(
            source, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
        )
        # Names are decoded on first use, and a damaged one must not surface later than here.
        file.schema_arrow.to_string(show_schema_metadata=False, show_field_metadata=False)
    except (OSError, *_DAMAGE) as error:
        source.raise_failure()
        raise Fault("corrupt_file", detail=f"not readable as Parquet: {error}") from error
    return file


def _read(source: Source, names: ColumnNames) -> Iterator[Row]:
    try:
        file = open_parquet(source)
    except Fault as fault:
        yield None, fault
        return
    first = 0
    for group in range(file.num_row_groups):
        num_rows = file.metadata.row_group(group).num_rows
        try:
            columns = check_schema(names, file.schema_arrow)
        except Fault as fault:
            yield from _fault_each(fault, first, num_rows)
        else:
            yield from _read_group(file, group, first, columns, source)
        first += num_rows


def _read_group(
    file: pq.ParquetFile, group: int, first: int, columns: dict[str, str], source: Source
) -> Iterator[Row]:
    metadata = file.metadata.row_group(group)
    num_rows = metadata.num_rows
    batch_size = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(1, metadata.total_byte_size)))
    batches = file.iter_batches(
        batch_size, row_groups=[group], columns=list(columns.values()), use_threads=False
    )
    done = 0
    detail = f"row group {group} holds fewer rows than the footer says"
    try:
        for batch in batches:
            for values in islice(_rows(batch, columns), num_rows - done):
                yield first + done, values
                done += 1
    except (OSError, *_DAMAGE) as error:
        source.raise_failure()
        detail = f"row group {group}: {error}"
    yield from _fault_each(Fault("corrupt_row_group", detail=detail), first + done, num_rows - done)


def _fault_each(fault: Fault, first: int, num_rows: int) -> Iterator[Row]:
    if num_rows > _MAX_FAULTS:
        yield None, fault
    else:
        for row in range(first, first + num_rows):
            yield row, fault


def _rows(batch: pa.RecordBatch, columns: dict[str, str]) -> Iterator[dict[str, Any] | Fault]:
    heavy = batch.nbytes > MAX_ROW_BYTES
    decoded = [_decode(batch.column(column), column) for column in columns.values()]
    for values in zip(*decoded, strict=True):
        record = dict(zip(columns, values, strict=True))
        fault = next((value for value in values if isinstance(value, Fault)), None)
        if fault is None and heavy:
            fault = _too_long(record)
        yield record if fault is None else fault


def _decode(column: pa.Array, name: str) -> list[Any]:
    """Python values; a Fault in place of each that has none."""
    try:
        return column.to_pylist()
    except _DAMAGE:
        return [_decode_one(scalar, name) for scalar in column]


def _decode_one(scalar: pa.Scalar, name: str) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        detail = f"byte 0x{byte:02x} at offset {error.start} of the text: {error.reason}"
        return Fault("invalid_utf8", name, detail)
    except _DAMAGE as error:
        return Fault("unreadable_value", name, str(error))


def _too_long(record: dict[str, Any]) -> Fault | None:
    num_bytes = len(json.dumps(record, ensure_ascii=False, default=str).encode())
    if num_bytes <= MAX_ROW_BYTES:
        return None
    return Fault("too_long", detail=f"the row has {num_bytes} bytes, more than {MAX_ROW_BYTES}")
