"""A Parquet file -> one raw row or fault per row, a few rows at a time."""

from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rdpt_ray.storage.bounded_memory import bounded_memory
from rdpt_ray.storage.columns import ColumnNames, Row, check_schema
from rdpt_ray.storage.faults import MAX_ROW_BYTES, Fault, is_bomb
from rdpt_ray.storage.row_sizes import row_sizes
from rdpt_ray.storage.sources import Source

_DAMAGE = (pa.ArrowException, ValueError, OverflowError)
"""What pyarrow raises for damaged bytes, beside OSError; found by flipping bytes of valid files."""

_MAX_BATCH_ROWS = 64
_BATCH_BYTES = 256 << 20
"""About what a batch decodes to, even where one dictionary entry stands for every row."""

_DECODER_BYTES = 2 << 30
"""What decoding one batch may allocate. Rows are of 32 MiB at most and writers cut pages at 1 to 100 MB; a
file of 600 bytes can ask for more than any machine has."""

_MAX_FAULTS = 1 << 20
_MAX_ROWS_PER_BYTE = 8
"""A footer can claim any number of rows. What a row group claims above these is not believed: its rows
are one fault of the file then."""

_MAX_CLAIM = 1 << 40
"""Keeps row numbers within 64 bits."""


def read_parquet(source: Source, names: ColumnNames, *, limit: int | None = None) -> Iterator[Row]:
    """Read the rows of a Parquet file in order, decoding at most 64 at a time.

    A file whose footer cannot be read is one fault for the file as a whole. A row group that cannot
    be decoded, or not within 2 GiB, is one fault for each of its rows that was not read before; the
    others are read. A file whose rows come to an absurd multiple of its size is read up to there, and
    every row behind is a fault.

    Args:
        source: The open file.
        names: The columns to read.
        limit: Read only the first rows, faulty ones included.

    Raises:
        InputError: if the file system fails while reading.
    """
    return islice(_read(source, names), limit)


def num_rows_of_groups(source: Source) -> list[int]:
    """Rows of each row group, by the footer.

    Raises:
        Fault: `corrupt_file`.
        InputError: if the file system fails while reading.
    """
    return [len(rows) for rows in _row_groups(open_parquet(source))]


def read_row_group(source: Source, names: ColumnNames, group: int, limit: int) -> Iterator[Row]:
    """The first rows of one row group, as `read_parquet` reads them.

    Args:
        source: The open file.
        names: The columns to read.
        group: Which of its row groups.
        limit: Read no more rows than that.

    Raises:
        Fault: `corrupt_file`.
        InputError: if the file system fails while reading.
    """
    file = open_parquet(source)
    rows = _row_groups(file)[group]
    found = _read_group(file, group, rows[:limit], names, source)
    return ((row, values) for row, values, _ in found)


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
    unpacked, packed = 0, _size(source)
    for group, rows in enumerate(_row_groups(file)):
        for row, values, num_bytes in _read_group(file, group, rows, names, source):
            unpacked += num_bytes
            if row is not None and is_bomb(unpacked, packed):
                detail = f"{packed} bytes of the file unpack to more than {unpacked}"
                fault = Fault("compression_bomb", detail=detail)
                for left in _row_groups(file)[group:]:
                    yield from _fault_each(fault, range(max(row, left.start), left.stop), packed)
                return
            yield row, values


def _size(source: Source) -> int:
    return source.seek(0, 2)


def _row_groups(file: pq.ParquetFile) -> list[range]:
    """The rows of each row group, as the footer has them, which may be any number, below 0 too."""
    claims = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    sizes = [min(max(0, claim), _MAX_CLAIM) for claim in claims]
    return [range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]


def _read_group(
    file: pq.ParquetFile, group: int, rows: range, names: ColumnNames, source: Source
) -> Iterator[tuple[int | None, dict[str, Any] | Fault, int]]:
    """The rows of one row group, and how many bytes each was decoded to."""
    num_bytes = file.metadata.row_group(group).total_byte_size
    batch_size = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(1, num_bytes)))
    done = 0
    fault = Fault(
        "corrupt_row_group", detail=f"row group {group} holds fewer rows than the footer says"
    )
    try:
        columns = check_schema(names, file.schema_arrow)
        batches = file.iter_batches(
            batch_size, row_groups=[group], columns=list(columns.values()), use_threads=False
        )
        for batch, sizes in decode(batches):
            for values, num_bytes in islice(_rows(batch, sizes, columns), len(rows) - done):
                yield rows[done], values, num_bytes
                done += 1
    except Fault as found:
        fault = found
    except MemoryError as error:
        detail = f"row group {group} needs more than {_DECODER_BYTES} bytes to be decoded: {error}"
        fault = Fault("compression_bomb", detail=detail)
    except (OSError, *_DAMAGE) as error:
        source.raise_failure()
        fault = Fault("corrupt_row_group", detail=f"row group {group}: {error}")
    for row, values in _fault_each(fault, rows[done:], _size(source)):
        yield row, values, 0


def _fault_each(fault: Fault, rows: range, packed: int) -> Iterator[Row]:
    """The fault for each of these rows, or once where a file of this size can hardly have so many."""
    if len(rows) > min(_MAX_FAULTS, _MAX_ROWS_PER_BYTE * packed):
        yield None, fault
    else:
        for row in rows:
            yield row, fault


def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch with the size of each of its rows (`row_sizes`), made within 2 GiB.

    Raises:
        MemoryError: if that is not enough.
    """
    while True:
        with bounded_memory(_DECODER_BYTES):
            if (batch := next(batches, None)) is None:
                return
            sizes = sum(map(row_sizes, batch.columns), np.zeros(batch.num_rows, np.int64))
        yield batch, sizes


def _rows(
    batch: pa.RecordBatch, sizes: np.ndarray, columns: dict[str, str]
) -> Iterator[tuple[dict[str, Any] | Fault, int]]:
    """Each row and its size, as Python values: all at once, or one by one where they are heavy."""
    step = max(1, len(sizes)) if sizes.sum() <= MAX_ROW_BYTES else 1
    for first in range(0, len(sizes), step):
        if sizes[first] > MAX_ROW_BYTES:
            detail = f"the row has {sizes[first]} bytes, more than {MAX_ROW_BYTES}"
            yield Fault("too_long", detail=detail), 0
            continue
        here = sizes[first : first + step].tolist()
        part = batch.slice(first, step)
        decoded = [to_values(part.column(column), column) for column in columns.values()]
        for row, num_bytes in enumerate(here):
            values = [column[row] for column in decoded]
            fault = next((value for value in values if isinstance(value, Fault)), None)
            yield fault or dict(zip(columns, values, strict=True)), num_bytes


def to_values(column: pa.Array, name: str) -> list[Any]:
    """A column as Python values; a Fault in place of each that Python cannot hold."""
    try:
        return column.to_pylist()
    except _DAMAGE:
        return [_value(scalar, name) for scalar in column]


def _value(scalar: pa.Scalar, name: str) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        detail = f"byte 0x{byte:02x} at offset {error.start} of the text: {error.reason}"
        return Fault("invalid_utf8", name, detail)
    except _DAMAGE as error:
        return Fault("unreadable_value", name, str(error))
