"""A table as the Parquet files of a dataset: `data/train-00000-of-00002.parquet`.

Where a row group or a file ends is decided row by row, from what the rows hold: the same rows give the same
bytes however they come in, and memory holds one row group. Files are written as `datasets` writes them: with
content-defined chunks, so that a Hub that keeps chunks stores only what changed, and with a page index, so
that its viewer reads pages.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rdpt_ray.storage.row_sizes import row_sizes

SPLIT = "train"

ROW_GROUP_BYTES = 64_000_000
"""A row group ends with the row that brings it above this, before compression; the Hub's viewer reads row
groups of up to 300 MB."""

CHUNKS = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""As `datasets.config.DEFAULT_CDC_OPTIONS`."""

_HELD_CHARS, _HELD_ROWS = 4_000_000, 1024
"""How much is held as Python objects."""


@dataclass(frozen=True, slots=True)
class Shards:
    """One config's files.

    Attributes:
        config: The config's name.
        directory: Where the files lie in the dataset.
        schema: Of its table.
        num_bytes: In memory, before compression.
        paths: In the dataset, in order.
    """

    config: str
    directory: str
    schema: pa.Schema
    num_rows: int
    num_bytes: int
    paths: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """What names these files and none that another release left beside them."""
        return f"{self.directory}/{SPLIT}-*-of-{len(self.paths):05d}.parquet"


@dataclass(slots=True)
class ShardWriter:
    """Writes rows into files below `folder`; `close` gives them their final names.

    Attributes:
        shard_bytes: A file ends with the row that brings it above this, before compression.
    """

    folder: Path
    config: str
    directory: str
    schema: pa.Schema
    shard_bytes: int
    row_group_bytes: int = ROW_GROUP_BYTES
    num_rows: int = 0
    num_bytes: int = 0
    _held: list[Mapping[str, Any]] = field(default_factory=list)
    _held_chars: int = 0
    _paths: list[Path] = field(default_factory=list)
    _file: pq.ParquetWriter | None = None
    _file_bytes: int = 0
    _group: list[pa.RecordBatch] = field(default_factory=list)
    _group_bytes: int = 0

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; columns that the schema does not have are left out."""
        self._held.append(row)
        self._held_chars += sum(len(value) for value in row.values() if isinstance(value, str))
        if self._held_chars > _HELD_CHARS or len(self._held) == _HELD_ROWS:
            self._pack()

    def _pack(self) -> None:
        """Turn the rows at hand into Arrow, which is a fraction of their size."""
        if self._held:
            self._append(pa.RecordBatch.from_pylist(self._held, self.schema))
        self._held, self._held_chars = [], 0

    def _append(self, batch: pa.RecordBatch) -> None:
        """Put a batch's rows into row groups and files."""
        begin = 0
        for end, num_bytes in enumerate(_bytes_per_row(batch), start=1):
            self._group_bytes += num_bytes
            self._file_bytes += num_bytes
            full = self._file_bytes > self.shard_bytes
            if full or self._group_bytes > self.row_group_bytes:
                self._group.append(batch.slice(begin, end - begin))
                begin = end
                self._end_group()
            if full:
                self._end_file()
        self._group.append(batch.slice(begin))

    def close(self) -> Shards:
        """Write what is left; a table without rows is one file without rows."""
        self._pack()
        self._end_group()
        if not self._paths:
            self._open()
        self._end_file()
        names = [
            f"{self.directory}/{SPLIT}-{at:05d}-of-{len(self._paths):05d}.parquet"
            for at in range(len(self._paths))
        ]
        for path, name in zip(self._paths, names, strict=True):
            path.rename(self.folder / name)
        return Shards(
            self.config, self.directory, self.schema, self.num_rows, self.num_bytes, tuple(names)
        )

    def _open(self) -> pq.ParquetWriter:
        path = self.folder / self.directory / f"{len(self._paths):05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths.append(path)
        self._file = pq.ParquetWriter(
            path,
            self.schema,
            compression="zstd",
            compression_level=3,
            use_content_defined_chunking=CHUNKS,  # pyright: ignore[reportArgumentType]
            write_page_index=True,
            write_page_checksum=True,
        )
        self._file.add_key_value_metadata({"content_defined_chunking": json.dumps(CHUNKS)})
        return self._file

    def _end_group(self) -> None:
        batches = [batch for batch in self._group if batch.num_rows]
        self._group, self._group_bytes = [], 0
        if not batches:
            return
        group = pa.Table.from_batches(batches).combine_chunks()
        (self._file or self._open()).write_table(group, row_group_size=group.num_rows)
        self.num_rows += group.num_rows
        self.num_bytes += group.nbytes

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._file_bytes = None, 0


def _bytes_per_row(batch: pa.RecordBatch) -> list[int]:
    sizes = sum((row_sizes(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))
    return sizes.tolist()
