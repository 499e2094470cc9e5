"""A finished run's tables as streams of rows, in the order of the buckets; never a whole table in memory."""

from collections.abc import Collection, Iterator, Sequence
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


def read_rows(
    run: Root,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    prompts: Collection[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of one file of a run's table, a few megabytes at a time.

    Args:
        run: The run's folder.
        name: The file.
        columns: Only these; others are not fetched.
        prompts: Only rows of these prompt_ids; row groups without any are not fetched.

    Raises:
        StoreError: naming the file, if it cannot be read or is damaged.
    """
    with run.opened(name) as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            # A batch may not lie in two row groups: pyarrow cannot join the dictionaries of the classes.
            for group in _groups_with(file.metadata, prompts):
                for batch in file.iter_batches(
                    batch_size=_rows_at_once(file.metadata.row_group(group)),
                    row_groups=[group],
                    columns=None if columns is None else list(columns),
                    use_threads=False,
                ):
                    for row in batch.to_pylist():
                        if prompts is None or row["prompt_id"] in prompts:
                            yield row
        except (pa.ArrowException, ValueError) as error:
            raise StoreError(
                f"{run.show(name)}: not a valid Parquet file ({error}); `rdpt store verify` tells what"
                " to do"
            ) from error


def _rows_at_once(group: pq.RowGroupMetaData) -> int:
    return max(1, _BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1))


def _groups_with(metadata: pq.FileMetaData, prompts: Collection[str] | None) -> list[int]:
    """The row groups that can hold any of these prompts, as far as their statistics tell."""
    groups = range(metadata.num_row_groups)
    if prompts is None:
        return list(groups)
    at = metadata.schema.names.index("prompt_id")
    ranges = {group: metadata.row_group(group).column(at).statistics for group in groups}
    return [
        group
        for group, told in ranges.items()
        if told is None
        or not told.has_min_max
        or any(told.min <= each <= told.max for each in prompts)
    ]
