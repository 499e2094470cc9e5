"""Recorded log-probabilities: from files in any order to records that are found by id.

    STORE/recorded/<key>/bucket=0007.parquet     sorted by id, in small row groups
    STORE/recorded/<key>/index.json              written last: all buckets are there

A public recording holds hundreds of thousands of rows of up to 65k numbers, in no useful order, and a
part's traces are spread over all of it. So the files are read once, as a stream, and every record goes to
the bucket of its id's hash. Afterwards a part reads the row groups that hold its ids and nothing else; no
process ever holds more than a bucket.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import Root, parquet_bytes
from rdpt_ray.storage.parts import bucket_of
from rdpt_ray.storage.schemas import RECORDS
from rdpt_ray.storage.sources import InputFile

INDEX = "index.json"

GROUP_BYTES = 1_000_000
"""Size of a row group: what is read to find one record."""

Record = tuple[NDArray[np.int32], NDArray[np.float32]]


class RecordSpec(Protocol):
    """The part of the config that says what is in the files (`rdpt_ray.config.RecordedConfig`)."""

    @property
    def id_column(self) -> str:
        """The records' ids: text or whole numbers."""
        ...

    @property
    def tokens_column(self) -> str:
        """Lists of token ids."""
        ...

    @property
    def logprobs_column(self) -> str:
        """Lists of natural-log probabilities."""
        ...


def records_folder(files: Iterable[InputFile], spec: RecordSpec) -> str:
    """Where the records of some files lie: a hash of their content and of which columns are read."""
    digest = hashlib.sha256(
        f"records/1\0{spec.id_column}\0{spec.tokens_column}\0{spec.logprobs_column}\0".encode()
    )
    for fingerprint in sorted(file.fingerprint for file in files):
        digest.update(f"{fingerprint}\n".encode())
    return f"recorded/{digest.hexdigest()[:32]}"


def record_bucket(identity: str, num_buckets: int) -> int:
    """The bucket of a record's id."""
    return bucket_of(hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest(), num_buckets)


def write_records(root: Root, folder: str, bucket: int, rows: pa.Table) -> int:
    """Write one bucket, each id once.

    Args:
        root: The store.
        folder: From `records_folder`.
        bucket: Which one.
        rows: Its records, schema RECORDS, in any order; the same id may come more than once.

    Returns:
        How many ids it holds.
    """
    ordered = rows.select(RECORDS.names).cast(RECORDS).sort_by("id").combine_chunks()
    identities: list[str] = ordered.column("id").to_pylist()
    places: list[int] = []
    errors: dict[int, str] = {}
    for _, group in groupby(range(len(identities)), key=identities.__getitem__):
        first, *others = group
        different = sum(not _equal(ordered, first, other) for other in others)
        if different:
            errors[len(places)] = (
                f"recorded_duplicate: {1 + len(others)} records have this id, and not all are the same"
            )
        places.append(first)
    kept = ordered.take(pa.array(places, pa.int64()))
    if errors:
        kept = _with_errors(kept, errors)
    rows_per_group = max(1, min(1024, GROUP_BYTES * kept.num_rows // max(1, kept.nbytes)))
    root.write_bytes(_bucket_name(folder, bucket), parquet_bytes(kept, group=rows_per_group))
    return kept.num_rows


def find_records(
    identities: Sequence[str], *, root: Root, folder: str, num_buckets: int
) -> dict[str, Record | str]:
    """Look records up; ids that there are none of are left out.

    Args:
        identities: Wanted ids.
        root: The store.
        folder: From `records_folder`.
        num_buckets: Of this folder.

    Returns:
        id -> token ids and log-probabilities, or what is wrong with the record.

    Raises:
        StoreError: naming the file, if one is damaged.
    """
    by_bucket: dict[int, list[str]] = {}
    for identity in identities:
        by_bucket.setdefault(record_bucket(identity, num_buckets), []).append(identity)
    found: dict[str, Record | str] = {}
    for bucket, wanted in sorted(by_bucket.items()):
        name = _bucket_name(folder, bucket)
        if root.exists(name):
            found |= _read_bucket(root, name, set(wanted))
    return found


def _bucket_name(folder: str, bucket: int) -> str:
    return f"{folder}/bucket={bucket:04d}.parquet"


def _read_bucket(root: Root, name: str, wanted: set[str]) -> dict[str, Record | str]:
    found: dict[str, Record | str] = {}
    with root.opened(name) as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                if not _may_hold(file.metadata.row_group(group), wanted):
                    continue
                table = file.read_row_group(group, use_threads=False)
                for row, identity in enumerate(table.column("id").to_pylist()):
                    if identity in wanted:
                        found[identity] = _record(table, row)
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise StoreError(
                f"{root.show(name)}: not valid records ({error}); delete its folder and rerun"
            ) from error
    return found


def _may_hold(group: Any, wanted: set[str]) -> bool:
    """Whether a row group's span of ids covers one of these; ids are the first column."""
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return any(statistics.min <= identity <= statistics.max for identity in wanted)


def _record(table: pa.Table, row: int) -> Record | str:
    error = table.column("error")[row].as_py()
    if error is not None:
        return error
    token_ids = table.column("token_ids")[row].values.to_numpy(zero_copy_only=False)
    logprobs = table.column("logprobs")[row].values.to_numpy(zero_copy_only=False)
    return token_ids, logprobs


def _equal(table: pa.Table, one: int, other: int) -> bool:
    names = ("token_ids", "logprobs", "error")
    return all(table.column(name)[one].equals(table.column(name)[other]) for name in names)


def _with_errors(table: pa.Table, errors: dict[int, str]) -> pa.Table:
    rows = table.to_pylist()
    for place, error in errors.items():
        rows[place] = {"id": rows[place]["id"], "error": error}
    return pa.Table.from_pylist(rows, schema=RECORDS)
