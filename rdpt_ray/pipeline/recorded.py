"""Recorded log-probabilities into the store, once; see `storage.recorded` for why.

Before the engine `precomputed` can score, the records are put where they are found by id: workers stream
the files, send every record to the bucket of its id, and a bucket is written sorted.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray
from rich.console import Console

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.model_config import ModelConfig, RecordedConfig
from rdpt_ray.scoring.recorded import load_recorded
from rdpt_ray.scoring.scorer import Scorer
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inputs import InputFile, list_inputs
from rdpt_ray.storage.parts import num_buckets
from rdpt_ray.storage.read_records import check_records, read_records
from rdpt_ray.storage.recorded import (
    INDEX,
    find_records,
    record_bucket,
    records_folder,
    write_records,
)
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.schemas import RECORDS

BUCKETED = RECORDS.append(pa.field("bucket", pa.int32()))


@dataclass(frozen=True, slots=True)
class Recording:
    """One model's recorded log-probabilities, as they were when listed."""

    spec: RecordedConfig
    files: list[InputFile]
    folder: str
    """Where the store has their records, once `store_records` is done."""
    served: str
    """What takes the place of weights in the model key: the records, how traces find theirs, and the input
    they are joined to, since a trace's id is what the input says it is."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the store."""

    folder: str
    num_buckets: int
    num_records: int
    num_faults: int
    """Rows that are no record of anything."""
    example: str | None = field(default=None)
    """What is wrong with one of those."""


def recordings(
    config: CurateConfig, files: Sequence[InputFile], models: Mapping[Role, ModelConfig]
) -> dict[Role, Recording]:
    """List the recordings of the models that have one.

    Args:
        config: The job's.
        files: The job's input files.
        models: The models that the job needs.

    Raises:
        InputError: if a path does not exist, or a file lacks a column.
    """
    found: dict[Role, Recording] = {}
    for role, model in models.items():
        spec = model.recorded
        if spec is not None:
            found[role] = _listed(role, spec, config.input, files)
    return found


def _listed(
    role: Role, spec: RecordedConfig, traces: InputConfig, files: Sequence[InputFile]
) -> Recording:
    here = f"models.{role}.recorded"
    try:
        found = list_inputs(InputConfig(path=spec.path))
        for file in found:
            check_records(file, spec)
    except InputError as error:
        raise InputError(f"{here}: {str(error).replace('input.path', f'{here}.path')}") from error
    folder = records_folder(found, spec)
    joined = {
        "records": folder,
        "join": spec.join_key,
        "input": [file.fingerprint for file in files],
        "columns": traces.columns,
        "format": traces.format,
        "limit": traces.limit,
    }
    digest = hashlib.sha256(json.dumps(joined, sort_keys=True).encode()).hexdigest()
    return Recording(spec, found, folder, f"recorded/{digest}")


def recorded_loader(recording: Recording, store: Root, console: Console) -> Callable[..., Scorer]:
    """What loads a scorer of these records in an actor; puts them into the store first.

    Args:
        recording: What to read.
        store: Where the records go.
        console: Where it is said how many there are.
    """
    records = store_records(recording, store)
    said = f"recorded: {records.num_records:,} records"
    if records.num_faults:
        said += f", {records.num_faults:,} rows that are none ({records.example})"
    console.print(said, highlight=False, markup=False)
    lookup = partial(
        find_records, root=store, folder=records.folder, num_buckets=records.num_buckets
    )
    return partial(load_recorded, lookup=lookup)


def store_records(recording: Recording, store: Root) -> Records:
    """Run the stage, or find it done.

    Args:
        recording: What to read.
        store: Where the records go.
    """
    index = f"{recording.folder}/{INDEX}"
    if not store.exists(index):
        write_json(store, index, asdict(_store(recording, store)))
    return Records(**read_json(store, index))


def _store(recording: Recording, store: Root) -> Records:
    files, buckets = recording.files, num_buckets(sum(file.size for file in recording.files))
    sources = ray.data.from_items(
        [{"index": index} for index in range(len(files))], override_num_blocks=len(files)
    )
    read: Any = partial(read_rows, files=files, spec=recording.spec, num_buckets=buckets)
    rows = sources.map_batches(read, batch_size=1, num_cpus=1)
    written = rows.groupby("bucket", num_partitions=buckets).map_groups(
        partial(write_bucket, store=store, folder=recording.folder),
        batch_format="pyarrow",
        num_cpus=1,
    )
    records = sorted(written.iter_rows(), key=lambda row: row["bucket"])
    return Records(
        folder=recording.folder,
        num_buckets=buckets,
        num_records=sum(int(row["num_records"]) for row in records),
        num_faults=sum(int(row["num_faults"]) for row in records),
        example=next((row["example"] for row in records if row["example"]), None),
    )


def read_rows(
    batch: dict[str, Any], *, files: list[InputFile], spec: RecordedConfig, num_buckets: int
) -> Iterator[pa.Table]:
    """Body of the reading tasks: one file to tables of the schema BUCKETED."""
    for index in batch["index"]:
        for table in read_records(files[int(index)], spec):
            buckets = [
                0 if identity is None else record_bucket(identity, num_buckets)
                for identity in table.column("id").to_pylist()
            ]
            yield table.append_column(BUCKETED.field("bucket"), pa.array(buckets, pa.int32()))


def write_bucket(rows: pa.Table, *, store: Root, folder: str) -> pa.Table:
    """Body of the writing tasks: one bucket's records, schema BUCKETED, to its file and a count."""
    bucket = rows.column("bucket")[0].as_py()
    nameless = rows.filter(pc.field("id").is_null())
    named = rows.filter(pc.field("id").is_valid())
    faults: list[str] = sorted(nameless.column("error").to_pylist())
    record = {
        "bucket": bucket,
        "num_records": write_records(store, folder, bucket, named),
        "num_faults": len(faults),
        "example": faults[0] if faults else None,
    }
    return pa.Table.from_pylist([record], schema=_WRITTEN)


_WRITTEN = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        pa.field("num_records", pa.int64()),
        pa.field("num_faults", pa.int64()),
        pa.field("example", pa.string()),
    ]
)
