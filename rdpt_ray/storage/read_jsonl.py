"""A JSONL file, plain or compressed -> one raw row or fault per line that is not blank."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NoReturn

import pyarrow as pa

from rdpt_ray.storage.columns import ColumnNames, Row, explain_missing, missing_columns
from rdpt_ray.storage.faults import MAX_ROW_BYTES, Fault, is_bomb
from rdpt_ray.storage.json_text import is_too_deep
from rdpt_ray.storage.sources import Compression, Source

_CHUNK_BYTES = 1 << 18
_SHOWN_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r"

_JSON_TYPES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def read_jsonl(
    source: Source, compression: Compression, names: ColumnNames, *, limit: int | None = None
) -> Iterator[Row]:
    """Read the rows of a JSONL file in order, holding one line of at most 32 MiB in memory.

    The row number is the 0-based line number; blank lines count as lines but are not rows. A
    damaged or cut compressed stream ends in one fault for the file as a whole; rows before the
    damage are read, those in the last 256 KiB before it may be lost with it.

    Args:
        source: The open file.
        compression: How it is packed.
        names: The columns to keep.
        limit: Read only the first rows, faulty ones included.

    Raises:
        InputError: if the file system fails while reading.
    """
    return islice(_read(source, compression, names), limit)


def _read(source: Source, compression: Compression, names: ColumnNames) -> Iterator[Row]:
    lines = split_lines(unpack(source, compression))
    try:
        for number, line in lines:
            if line is None:
                detail = f"the line is longer than {MAX_ROW_BYTES} bytes"
                yield number, Fault("too_long", detail=detail)
                continue
            if number == 0:
                line = line.removeprefix(_BOM)
            if line.strip(_BLANK):
                yield number, _parse_row(line, names)
    except Fault as fault:
        yield None, fault


def first_objects(source: Source, compression: Compression) -> Iterator[dict[str, Any]]:
    """The objects of the first 1 MiB of a file, or the first one; what is damaged is passed over.

    Raises:
        InputError: if the file system fails while reading.
    """
    num_bytes = 0
    try:
        for number, line in split_lines(unpack(source, compression)):
            if line is None:
                return
            try:
                record = parse_json(line.removeprefix(_BOM) if number == 0 else line)
            except Fault:
                record = None
            if isinstance(record, dict):
                yield record
            num_bytes += len(line)
            if num_bytes > _SHOWN_BYTES:
                return
    except Fault:
        return


def unpack(source: Source, compression: Compression) -> Iterator[bytes]:
    """The bytes of the file, decompressed, in chunks of bounded size.

    Raises:
        Fault: `corrupt_file` or `compression_bomb`.
        InputError: if the file system fails while reading.
    """
    read = _unpacker(source, compression)
    num_bytes = 0
    while True:
        try:
            chunk = read(_CHUNK_BYTES)
        except (OSError, pa.ArrowException) as error:
            source.raise_failure()
            raise Fault(
                "corrupt_file", detail=f"after {num_bytes} unpacked bytes: {error}"
            ) from error
        if not chunk:
            return
        num_bytes += len(chunk)
        if is_bomb(num_bytes, source.tell()):
            detail = f"{source.tell()} bytes of the file unpack to more than {num_bytes}"
            raise Fault("compression_bomb", detail=detail)
        yield chunk


def _unpacker(source: Source, compression: Compression) -> Callable[[int], bytes]:
    """What reads up to so many unpacked bytes."""
    if compression is None:
        return source.read
    stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), compression)
    # Its own `read` never gives back what it had set aside for a chunk that turns out to be damaged.
    return lambda size: stream.read_buffer(size).to_pybytes()


def split_lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Cut a stream of bytes at each newline.

    Yields:
        0-based line number and line, without the empty ones; None stands for a line over the limit.
    """
    held: list[bytes] = []
    size = number = 0
    for chunk in chunks:
        if not size and not chunk.strip(b"\n"):  # padding, in some files gigabytes of it
            number += len(chunk)
            continue
        *ends, tail = chunk.split(b"\n")
        for end in ends:
            if end or size:
                size += len(end)
                yield number, b"".join([*held, end]) if size <= MAX_ROW_BYTES else None
                held, size = [], 0
            number += 1
        size += len(tail)
        held = [*held, tail] if size <= MAX_ROW_BYTES else []
    if size:
        yield number, b"".join(held) if size <= MAX_ROW_BYTES else None


def _parse_row(line: bytes, names: ColumnNames) -> dict[str, Any] | Fault:
    try:
        record = parse_json(line)
        if not isinstance(record, dict):
            came = _JSON_TYPES[type(record)]
            raise Fault("not_an_object", detail=f"the line is {came}; it must be an object")
        for name in missing_columns(names, record):
            detail = explain_missing(names, name, record)
            raise Fault("missing_column", names.inputs.get(name, name), detail)
    except Fault as fault:
        return fault
    return {name: record[column] for name, column in names.found(record).items()}


def parse_json(line: bytes) -> Any:
    """Parse one JSON value strictly: what RFC 8259 allows, and each key once.

    Raises:
        Fault: naming what is wrong and where.
    """
    try:
        value = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        detail = (
            f"byte 0x{line[error.start]:02x} at offset {error.start} of the line: {error.reason}"
        )
        raise Fault("invalid_utf8", detail=detail) from None
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at character {error.pos} of {len(error.doc)}"
        raise Fault("malformed_json", detail=detail) from None
    except RecursionError:
        raise Fault("too_deep") from None
    if is_too_deep(value):
        raise Fault("too_deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise Fault("duplicate_key", detail=f"key {twice[:80]!a} occurs more than once")
    return record


def _refuse(literal: str) -> NoReturn:
    raise Fault("non_finite_number", detail=f"{literal} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Fault("non_finite_number", detail=f"{digits[:40]} is too large for a float")
    return value


def _int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        detail = f"an integer of {len(digits)} digits"
        raise Fault("number_too_long", detail=detail) from None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_float, parse_int=_int
)
