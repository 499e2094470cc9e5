"""A finished run's tables as streams of rows, in the order of the buckets; never a whole table in memory."""

from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import Root

Table = Literal["selected", "rejected", "provenance"]

_BATCH_BYTES = 8_000_000
"""About how much is decoded at once."""


def buckets_of(run: Root, manifest: dict[str, Any]) -> list[str]:
    """The file names of every table, one per bucket, as the manifest lists them: bucket=0007.parquet.

    Raises:
        StoreError: if the run's tables are not those that the manifest lists.
    """
    found = {table: _names(run, table) for table in ("selected", "rejected", "provenance")}
    listed = manifest.get("files")
    for table, names in found.items():
        if listed is not None:
            told = {name for name in listed if name.startswith(f"{table}/")}
            lost = told - {f"{table}/{name}" for name in names}
            if lost:
                raise StoreError(
                    f"{run.show(min(lost))}: missing, although the run's manifest lists it; `rdpt store"
                    " verify` tells what to do"
                )
        if names != found["selected"]:
            raise StoreError(f"{run.show(table)}: expected the same buckets as in selected")
    return found["selected"]


def _names(run: Root, table: str) -> list[str]:
    return [name.partition("/")[2] for name in run.names(table)]


def read_rows(run: Root, name: str) -> Iterator[dict[str, Any]]:
    """The rows of one file of a run's table, a few megabytes at a time.

    Raises:
        StoreError: naming the file, if it cannot be read or is damaged.
    """
    with run.opened(name) as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            rows = _rows_at_once(file.metadata)
            for batch in file.iter_batches(batch_size=rows, use_threads=False):
                yield from batch.to_pylist()
        except (pa.ArrowException, ValueError) as error:
            raise StoreError(
                f"{run.show(name)}: not a valid Parquet file ({error}); `rdpt store verify` tells what"
                " to do"
            ) from error


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    num_bytes = sum(group.total_byte_size for group in groups)
    return max(1, _BATCH_BYTES * metadata.num_rows // max(num_bytes, 1))
