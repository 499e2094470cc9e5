"""What every search for traces to drop shares: which of a part's traces it looks at, and where drops go."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.part_tasks import keys_by_bucket, over_tasks
from rdpt_ray.pipeline.score import Part
from rdpt_ray.selection_config import FiltersConfig, VerifyConfig
from rdpt_ray.storage.drops import Reason, finish_drops, read_drops, write_drops
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import FACTS


@dataclass(frozen=True, slots=True)
class Screening:
    """Which run is searched; the same for every part."""

    store: Root
    dataset: str
    run: str
    """The run's folder, relative to the store."""
    filters: FiltersConfig
    passes: Callable[[dict[str, Any], int], bool] | None = None
    """Whether a trace passes the run's other filters, by its row in the ledger and the characters of its
    response: one that does not must not be kept in place of one that does. None: all pass."""
    verify: VerifyConfig | None = None
    """How answers were verified, if they were."""


def read_part(part: Part, job: Screening, columns: Sequence[str]) -> pa.Table:
    """Columns of a part, all its rows in order.

    Raises:
        StoreError: naming the file, if it is missing or damaged.
    """
    name = f"{bucket_folder(job.dataset, part.bucket)}/{part.key}.parquet"
    return job.store.read_table(name, columns=list(columns))


def screened_rows(part: Part, job: Screening, table: pa.Table) -> list[int]:
    """The rows of a part to look at: the run's own, without those dropped or filtered out already.

    Args:
        part: Which one.
        job: The search.
        table: The part, with trace_id, and with response where `job.passes` is set.
    """
    name = f"{job.run}/rows/bucket={part.bucket:04d}.parquet"
    facts = [field.name for field in FACTS] if job.passes else []
    ledger = job.store.read_table(name, columns=["trace_id", "reason", *facts]).to_pylist()
    own = {row["trace_id"]: row for row in ledger if row["reason"] is None}
    trace_ids: list[str] = table.column("trace_id").to_pylist()
    if job.passes is not None:
        own = Ledger(job.store, job.run, job.verify).with_verdicts(own, part.key, trace_ids)
    for trace_id in read_drops(job.store, job.run, part.bucket):
        own.pop(trace_id, None)
    rows = [row for row, trace_id in enumerate(trace_ids) if trace_id in own]
    if job.passes is None:
        return rows
    responses = table.column("response")
    return [row for row in rows if job.passes(own[trace_ids[row]], len(responses[row].as_py()))]


def commit_drops(
    reason: Reason,
    found: Mapping[int, Mapping[str, str]],
    job: Screening,
    prompts_of: Sequence[Part] = (),
) -> int:
    """Write what a search found, bucket by bucket, and then that it is done.

    Args:
        reason: What it searched for.
        found: Bucket -> trace_id -> detail.
        job: The search.
        prompts_of: Where given, `found` has prompt_ids, and all their traces in these parts are dropped.

    Returns:
        How many traces are dropped for it.
    """
    keys = keys_by_bucket(prompts_of)
    rows = [
        {
            "bucket": bucket,
            "ids": list(details),
            "details": list(details.values()),
            "keys": keys.get(bucket, []),
        }
        for bucket, details in sorted(found.items())
    ]
    by_bucket: dict[int, int] = {}
    if rows:
        body = partial(_write_buckets, reason=reason, job=replace(job, passes=None))
        by_bucket = {int(row["bucket"]): int(row["count"]) for row in over_tasks(rows, body)}
    finish_drops(job.store, job.run, reason, by_bucket)
    return sum(by_bucket.values())


def _write_buckets(batch: pa.Table, *, reason: Reason, job: Screening) -> pa.Table:
    """Body of the writing tasks: buckets to their tables, and how many traces are in each."""
    counts: list[dict[str, int]] = []
    for row in batch.to_pylist():
        found = dict(zip(row["ids"], row["details"], strict=True))
        parts = [Part(row["bucket"], key, 0) for key in row["keys"]]
        if parts:
            found = {
                trace_id: found[prompt_id]
                for part in parts
                for trace_id, prompt_id in _own_prompts(part, job)
                if prompt_id in found
            }
        write_drops(job.store, job.run, reason, row["bucket"], found)
        counts.append({"bucket": row["bucket"], "count": len(found)})
    return pa.Table.from_pylist(counts)


def _own_prompts(part: Part, job: Screening) -> list[tuple[str, str]]:
    table = read_part(part, job, ["trace_id", "prompt_id"])
    kept = table.take(screened_rows(part, job, table))
    return list(
        zip(kept.column("trace_id").to_pylist(), kept.column("prompt_id").to_pylist(), strict=True)
    )


def prompt_text(messages: Iterable[Mapping[str, str]]) -> str:
    """What tells a prompt from others: all but its system messages.

    Datasets give every prompt the same long system message; with it, all would be alike.
    """
    return "\n".join(
        message["content"] or ""
        for message in messages
        if message["role"] not in ("system", "developer")
    )
