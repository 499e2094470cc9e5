"""Input files to the store's parts and the run's ledger.

Workers read files row by row (nothing a row holds can end the job), cut sentences, and send each row to
the bucket of its prompt: the one shuffle of a run. A bucket then numbers its candidates, sets exact
duplicates aside, writes the traces that the store does not hold yet as new parts, and writes the ledger:
one row per candidate of an input row, a trace or a fault.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.sentences import splitter_id, splitter_named
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.hub import HubFacts
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import InputFile
from rdpt_ray.storage.parts import (
    PART_CHARS,
    bucket_folder,
    bucket_of,
    cut_into_parts,
    stored_traces,
    write_part,
)
from rdpt_ray.storage.schemas import INGESTED, ROWS, TRACES

BUCKETED = INGESTED.append(pa.field("bucket", pa.int32()))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a run's traces go."""

    store: Root
    dataset: str
    run: str
    """The run's folder, relative to the store."""
    num_buckets: int
    unit: str = "sentence"
    """Which of the splitters cuts the responses."""
    part_chars: int = PART_CHARS
    """Characters of response per part."""


@dataclass(frozen=True, slots=True)
class IngestedBucket:
    """What one bucket came to."""

    bucket: int
    num_rows: int
    """Candidates of input rows, faults included."""
    num_faults: int
    parts: dict[str, int]
    """Part-key -> how many of the run's traces lie in it."""


def ingest(
    files: list[InputFile],
    config: InputConfig,
    to: Destination,
    hub: Mapping[str, HubFacts] | None = None,
) -> list[IngestedBucket]:
    """Run the stage.

    Args:
        files: What to read.
        config: How to read it.
        to: Where the traces go.
        hub: File's uri -> what its dataset's card says of all rows, where neither they nor the config do.

    Returns:
        One record per bucket that holds rows, in order.
    """
    sources = ray.data.from_items(
        [{"index": index} for index in range(len(files))], override_num_blocks=len(files)
    )
    read: Any = partial(
        read_rows,
        files=files,
        configs=[of_file(config, (hub or {}).get(file.uri)) for file in files],
        num_buckets=to.num_buckets,
        unit=to.unit,
    )
    rows = sources.map_batches(read, batch_size=1, num_cpus=1)
    buckets = rows.groupby("bucket", num_partitions=to.num_buckets).map_groups(
        partial(write_bucket, to=to), batch_format="pyarrow", num_cpus=1
    )
    records = [IngestedBucket(**_parsed(row)) for row in buckets.iter_rows()]
    return sorted(records, key=lambda record: record.bucket)


def read_rows(
    batch: dict[str, Any],
    *,
    files: list[InputFile],
    configs: list[InputConfig],
    num_buckets: int,
    unit: str,
) -> Iterator[pa.Table]:
    """Body of the reading tasks: one file to tables of the schema BUCKETED."""
    for index in batch["index"]:
        for table in read_file(files[index], configs[index], split=splitter_named(unit)):
            yield table.append_column(
                BUCKETED.field("bucket"),
                pa.array([_bucket(row, num_buckets) for row in _places(table)], pa.int32()),
            )


def of_file(config: InputConfig, card: HubFacts | None) -> InputConfig:
    """The config of one file: with defaults from its dataset's card, where it has none itself."""
    if card is None:
        return config
    stated = {name: value for name, value in config.defaults.model_dump().items() if value}
    return config.model_copy(
        update={"defaults": config.defaults.model_copy(update={**card, **stated})}
    )


def write_bucket(rows: pa.Table, *, to: Destination) -> pa.Table:
    """Body of the writing tasks: one bucket's rows to its ledger and its new parts.

    Args:
        rows: Every row of the bucket, schema BUCKETED, in any order.
        to: Where they go.

    Returns:
        One row: the fields of `IngestedBucket`.
    """
    bucket = rows.column("bucket")[0].as_py()
    rows = rows.drop_columns("bucket").sort_by(
        [("file", "ascending"), ("row", "ascending"), ("item", "ascending")]
    )
    rows = _number_candidates(_mark_duplicates(rows))
    ledger = rows.select(ROWS.names).cast(ROWS)
    to.store.write_table(f"{to.run}/rows/bucket={bucket:04d}.parquet", ledger)
    good = rows.filter(pc.field("reason").is_null()).select(TRACES.names)
    parts = _store_traces(good, bucket, to)
    record = {
        "bucket": bucket,
        "num_rows": rows.num_rows,
        "num_faults": rows.num_rows - good.num_rows,
        "part_keys": list(parts),
        "part_traces": list(parts.values()),
    }
    return pa.Table.from_pylist([record], schema=_RECORD)


_RECORD = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        pa.field("num_rows", pa.int64()),
        pa.field("num_faults", pa.int64()),
        pa.field("part_keys", pa.list_(pa.string())),
        pa.field("part_traces", pa.list_(pa.int64())),
    ]
)


def _parsed(record: dict[str, Any]) -> dict[str, Any]:
    parts = dict(zip(record.pop("part_keys"), record.pop("part_traces"), strict=True))
    return {**record, "parts": {key: int(count) for key, count in parts.items()}}


def _places(table: pa.Table) -> list[dict[str, Any]]:
    return table.select(["prompt_id", "file", "row"]).to_pylist()


def _bucket(place: dict[str, Any], num_buckets: int) -> int:
    """The bucket of the row's prompt; of its location, where a fault left it without one."""
    identity = place["prompt_id"]
    if identity is None:
        identity = hashlib.sha256(f"{place['file']}\0{place['row']}".encode()).hexdigest()
    return bucket_of(identity, num_buckets)


def _mark_duplicates(rows: pa.Table) -> pa.Table:
    """Give every later copy of a trace the fault `duplicate`; rows are in input order."""
    first: dict[str, str] = {}
    reasons, details = rows.column("reason").to_pylist(), rows.column("detail").to_pylist()
    places = rows.select(["trace_id", "file", "row", "item", "reason"]).to_pylist()
    for index, place in enumerate(places):
        if place["reason"] is not None:
            continue
        here = f"{place['file']} row {place['row']}"
        here += f" item {place['item']}" if place["item"] else ""
        earlier = first.setdefault(place["trace_id"], here)
        if earlier != here:
            reasons[index] = "duplicate"
            details[index] = f"same prompt and response as {earlier}"
    rows = _with_column(rows, "reason", reasons)
    return _with_column(rows, "detail", details)


def _number_candidates(rows: pa.Table) -> pa.Table:
    """Set `candidate`: the trace's position among its prompt's traces in input order."""
    seen: dict[str, int] = {}
    candidates: list[int | None] = []
    for prompt_id, reason in zip(
        rows.column("prompt_id").to_pylist(), rows.column("reason").to_pylist(), strict=True
    ):
        place = seen.get(prompt_id, 0)
        candidates.append(place if reason is None else None)
        if reason is None:
            seen[prompt_id] = place + 1
    return _with_column(rows, "candidate", candidates)


def _with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = INGESTED.field(name)
    return table.set_column(index, field, pa.array(values, field.type))


def _store_traces(traces: pa.Table, bucket: int, to: Destination) -> dict[str, int]:
    """Write what the store lacks; return every part that holds one of these traces, with how many."""
    folder = bucket_folder(to.dataset, bucket)
    splitter = splitter_id(to.unit)
    held = stored_traces(to.store, folder, splitter)
    identities = traces.column("trace_id").to_pylist()
    new = traces.filter(pa.array([identity not in held for identity in identities], pa.bool_()))
    for part in cut_into_parts(new, to.part_chars):
        key = write_part(to.store, folder, part, splitter)
        held.update(dict.fromkeys(part.column("trace_id").to_pylist(), key))
    counts: dict[str, int] = {}
    for identity in identities:
        counts[held[identity]] = counts.get(held[identity], 0) + 1
    return dict(sorted(counts.items()))
