"""Some rows of an input, drawn so that they tell of all of them.

What is drawn are *blocks*: rows next to each other, as many as a plan asks for. Of few files each is looked
into: a Parquet file's row groups, ranges of bytes of a JSONL file, the beginning of one that is compressed or
read up to a limit. Of many files some are drawn, and a block of each stands for its file. What a block is
worth is known without reading it (rows or bytes), so totals follow (`method.sample_totals`).

Within a row group, rows are read from its first on: to get at a row in its middle, all before it would have
to be decoded. Rows that are sorted inside row groups therefore mislead.
"""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

import pyarrow as pa

from rdpt_ray.storage.columns import Row
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.ingested import Split, ingest_rows, reading_of
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.read_jsonl import read_jsonl
from rdpt_ray.storage.read_parquet import num_rows_of_groups, read_row_group
from rdpt_ray.storage.reading import Reading, read_rows
from rdpt_ray.storage.schemas import INGESTED
from rdpt_ray.storage.sources import InputFile, Source, open_input

FIRST_LOOK_BYTES = 1 << 16
"""Of a JSONL file, to see how long its lines are."""

COUNTED_BYTES = 1 << 24
"""The rows of a smaller file are counted, where only reading it tells how many there are."""

TAIL_BYTES = 1 << 16
"""Read at a time to find the end of a range's last line."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that were read, and what they stand for."""

    table: pa.Table
    """Schema INGESTED, or that of a part."""
    size: float
    """In its stratum's unit."""
    scale: float = 1.0
    """What was counted in it times this is what all of the block holds."""
    key: str | None = None
    """Of the part that it is."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Blocks whose sizes are in one unit."""

    blocks: list[Block]
    """At least one."""
    total_size: float
    """Of all blocks, also those that were not drawn."""
    num_blocks: int
    """How many there are."""

    @property
    def is_complete(self) -> bool:
        """Whether everything was read."""
        return len(self.blocks) == self.num_blocks and all(one.scale == 1 for one in self.blocks)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How much is drawn."""

    split: Split
    num_blocks: int
    num_rows: int
    """Of a block."""
    seed: int


@dataclass(frozen=True, slots=True)
class _Input:
    """A file and how it is read."""

    file: InputFile
    config: InputSpec
    reading: Reading

    def table(self, rows: Iterator[Row], drawing: Drawing) -> pa.Table:
        """Raw rows as ingestion makes them."""
        tables = ingest_rows(rows, self.file, self.config, self.reading, split=drawing.split)
        return pa.concat_tables([INGESTED.empty_table(), *tables])


def sample_input(
    files: Sequence[InputFile], configs: Sequence[InputSpec], drawing: Drawing
) -> list[Stratum]:
    """Draw and read.

    Args:
        files: From `list_inputs`.
        configs: How each is read.
        drawing: How much, and by which seed.

    Returns:
        At least one stratum; a block may hold no row.

    Raises:
        ConfigError: if a config maps an unknown canonical column.
        InputError: if a file has changed or gone since it was listed, or its file system fails.
    """
    inputs = list(zip(files, configs, strict=True))
    draw = random.Random(drawing.seed)
    if len(inputs) > drawing.num_blocks:
        chosen = draw.sample(inputs, drawing.num_blocks)
        return [_some_of_many([_opened(*each) for each in chosen], files, drawing, draw)]
    opened = [_opened(*each) for each in inputs]
    lines = [each for each in opened if _is_in_ranges(each)]
    others = [each for each in opened if not _is_in_ranges(each)]
    found = [_in_ranges(lines, drawing, draw)] if lines else []
    return [*found, _in_rows(others, drawing, draw)] if others else found


def _opened(file: InputFile, config: InputSpec) -> _Input:
    return _Input(file, config, reading_of(file, config))


def _is_in_ranges(each: _Input) -> bool:
    """Whether any of a file's lines can be had without those before it."""
    file = each.file
    is_plain = file.format == "jsonl" and file.compression is None and file.size > 0
    return is_plain and each.config.limit is None


def _some_of_many(
    chosen: list[_Input], files: Sequence[InputFile], drawing: Drawing, draw: random.Random
) -> Stratum:
    """A block of each file that was drawn; with a limit, files count alike."""
    is_limited = chosen[0].config.limit is not None
    blocks: list[Block] = []
    for each in chosen:
        with open_input(each.file) as source:
            table, scale = _one_block(each, source, drawing, draw)
        blocks.append(Block(table, 1 if is_limited else max(1, each.file.size), scale))
    total = len(files) if is_limited else sum(max(1, file.size) for file in files)
    return Stratum(blocks, total, len(files))


def _one_block(
    each: _Input, source: Source, drawing: Drawing, draw: random.Random
) -> tuple[pa.Table, float]:
    """Some rows of a file, and by how much it holds more."""
    if _is_in_ranges(each):
        step = _range_bytes(source, drawing.num_rows)
        start = draw.randrange(ceil(each.file.size / step)) * step
        end = min(each.file.size, start + step)
        return _range(each, source, start, end, drawing), each.file.size / (end - start)
    groups = _groups(each, source)
    if groups:
        group, num_rows = draw.choice(groups)
        rows = read_row_group(source, each.reading.names, group, min(num_rows, drawing.num_rows))
        total = sum(size for _, size in groups)
        return each.table(rows, drawing), total / max(1, min(num_rows, drawing.num_rows))
    tables, total = _head(each, source, drawing, 1)
    return pa.concat_tables(tables), total / max(1, min(total, drawing.num_rows))


def _in_ranges(inputs: list[_Input], drawing: Drawing, draw: random.Random) -> Stratum:
    """Ranges of bytes of some of few files."""
    ranges: list[tuple[_Input, int, int]] = []
    for each in inputs:
        with open_input(each.file) as source:
            step = _range_bytes(source, drawing.num_rows)
        size = each.file.size
        ranges += [(each, start, min(size, start + step)) for start in range(0, size, step)]
    chosen = draw.sample(ranges, min(len(ranges), drawing.num_blocks))
    blocks: list[Block] = []
    for each, start, end in sorted(chosen, key=lambda place: (place[0].file.index, place[1])):
        with open_input(each.file) as source:
            blocks.append(Block(_range(each, source, start, end, drawing), end - start))
    return Stratum(blocks, sum(each.file.size for each in inputs), len(ranges))


def _range_bytes(source: Source, num_rows: int) -> int:
    """Bytes that hold about so many lines."""
    source.seek(0)
    first = source.read(FIRST_LOOK_BYTES)
    return max(1, ceil(len(first) / max(1, first.count(b"\n"))) * num_rows)


def _range(each: _Input, source: Source, start: int, end: int, drawing: Drawing) -> pa.Table:
    """The lines that begin in a range of bytes."""
    lines = Source(io.BytesIO(_lines(source, start, end)), each.file.uri)
    return each.table(read_jsonl(lines, None, each.reading.names), drawing)


def _lines(source: Source, start: int, end: int) -> bytes:
    """The lines that begin at one of the bytes from `start` on and before `end`, each to its end."""
    source.seek(max(0, start - 1))
    data = source.read(end - max(0, start - 1))
    if start:
        _, newline, data = data.partition(b"\n")
        if not newline:
            return b""
    if not data or data.endswith(b"\n"):
        return data
    pieces = [data]
    while chunk := source.read(TAIL_BYTES):
        line, newline, _ = chunk.partition(b"\n")
        pieces.append(line)
        if newline:
            break
    return b"".join(pieces)


def _in_rows(inputs: list[_Input], drawing: Drawing, draw: random.Random) -> Stratum:
    """Rows of row groups, and of the beginnings of files that have none."""
    groups: list[tuple[_Input, int, int]] = []
    blocks: list[Block] = []
    total = num_blocks = 0
    for each in inputs:
        with open_input(each.file) as source:
            found = _groups(each, source)
            groups += [(each, group, num_rows) for group, num_rows in found]
            if found:
                continue
            slices = ceil(drawing.num_blocks / len(inputs))
            tables, num_rows = _head(each, source, drawing, slices)
        blocks += _blocks(tables, num_rows, drawing)
        total += num_rows
        num_blocks += max(len(tables), ceil(num_rows / drawing.num_rows))
    for each, group, num_rows in draw.sample(groups, min(len(groups), drawing.num_blocks)):
        slices = ceil(drawing.num_blocks / min(len(groups), drawing.num_blocks))
        with open_input(each.file) as source:
            limit = min(num_rows, slices * drawing.num_rows)
            rows = read_row_group(source, each.reading.names, group, limit)
            tables = [each.table(iter(some), drawing) for some in _slices(rows, drawing.num_rows)]
        blocks += _blocks(tables, limit, drawing)
    total += sum(num_rows for _, _, num_rows in groups)
    num_blocks += sum(ceil(num_rows / drawing.num_rows) for _, _, num_rows in groups)
    return Stratum(blocks, total, num_blocks)


def _blocks(tables: list[pa.Table], num_rows: int, drawing: Drawing) -> list[Block]:
    """Tables of slices as blocks: each but the last holds as many rows as a slice does."""
    sizes = [min(drawing.num_rows, num_rows - at * drawing.num_rows) for at in range(len(tables))]
    return [Block(table, size) for table, size in zip(tables, sizes, strict=True)]


def _groups(each: _Input, source: Source) -> list[tuple[int, int]]:
    """The row groups that are read, each with its rows up to the limit; none of a file without."""
    if each.file.format != "parquet" or not each.file.size:
        return []
    try:
        sizes = num_rows_of_groups(source)
    except Fault:
        return []
    left = each.config.limit if each.config.limit is not None else sum(sizes)
    found: list[tuple[int, int]] = []
    for group, size in enumerate(sizes):
        if min(size, left) > 0:
            found.append((group, min(size, left)))
        left -= size
    return found


def _head(
    each: _Input, source: Source, drawing: Drawing, slices: int
) -> tuple[list[pa.Table], int]:
    """The first rows of a file, slice by slice, and how many it has; an estimate, if there are more."""
    limit = slices * drawing.num_rows
    most = min(limit, each.config.limit or limit)
    found = read_rows(each.file, source, each.reading.names, each.config.limit)
    rows = list(islice(found, most))
    tables = [each.table(iter(some), drawing) for some in _slices(iter(rows), drawing.num_rows)]
    if each.file.size <= COUNTED_BYTES:
        total = len(rows) + sum(1 for _ in found)
    elif next(found, None) is None:
        total = len(rows)
    else:
        total = max(len(rows) + 1, round(len(rows) * each.file.size / source.tell()))
        total = min(total, each.config.limit or total)
    return tables or [INGESTED.empty_table()], max(1, total)


def _slices(rows: Iterator[Row], num_rows: int) -> Iterator[list[Row]]:
    while some := list(islice(rows, num_rows)):
        yield some
