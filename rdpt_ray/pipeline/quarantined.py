"""How much of a run is quarantined, and the end of a job where that is more than `fail_above` allows.

The exact count is known when every bucket is selected from, just before anything is published. Long before
that, a part of it is certain: what ingestion could not read, and every trace of the run that a model has
failed on, counted once whoever failed. A job ends as soon as what is certain is too much.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from rdpt_ray.config import Role
from rdpt_ray.errors import QuarantineError
from rdpt_ray.method.summary import Summary
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.job import Job
from rdpt_ray.pipeline.part_tasks import over_tasks
from rdpt_ray.pipeline.roles import is_teacher, teacher_of
from rdpt_ray.pipeline.score import Part
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import QUARANTINE
from rdpt_ray.storage.scores import PASSING, is_pruned, read_scores
from rdpt_ray.storage.sessions import sessions_of

Row = dict[str, Any]
"""A row of the schema QUARANTINE."""

_MOST_REASONS = 5


class Quarantined:
    """What of a run is certain to be quarantined, while the run goes on."""

    def __init__(self, job: Job, buckets: Sequence[IngestedBucket]) -> None:
        """Begin with what ingestion left.

        Args:
            job: The run; without `fail_above` nothing is looked at.
            buckets: Every bucket of it.
        """
        self._job, self._buckets = job, buckets
        self._num_rows = sum(bucket.num_rows for bucket in buckets)
        self._num_faults = sum(bucket.num_faults for bucket in buckets)
        self._failed: dict[str, Row] = {}

    @property
    def count(self) -> int:
        """Rows that are certain to be quarantined."""
        return self._num_faults + len(self._failed)

    def check(self) -> None:
        """See whether it is too much already.

        Raises:
            QuarantineError: if it is.
        """
        if self._is_too_much():
            rows = [*self._ingest_faults(), *self._failed.values()]
            where = f"{self._job.folder}/rows"
            raise QuarantineError(_told(rows, self.count, self._num_rows, self._job, where))

    def recall(self, parts: Sequence[Part]) -> None:
        """Count what models failed on in earlier sessions of the run, unless it is read again.

        Raises:
            QuarantineError: if that is too much.
        """
        earlier = [] if self._limit is None else sessions_of(self._job.store, self._job.run_id)
        roles = {
            role for each in earlier for role, counts in each.counts.items() if counts["errors"]
        }
        if roles:
            for row in _recalled(parts, sorted(roles & self._job.models.keys()), self._job):
                if row["reason"] not in PASSING:
                    self._failed.setdefault(row["trace_id"], row)
            self.check()

    def see(self, role: Role, part: Part) -> None:
        """Count what a model failed on in a part that it has just committed.

        Raises:
            QuarantineError: if that is too much now.
        """
        if self._limit is not None:
            for row in failed_traces(part, role, self._job):
                self._failed.setdefault(row["trace_id"], row)
            self.check()

    @property
    def _limit(self) -> float | None:
        return self._job.config.fail_above

    def _is_too_much(self) -> bool:
        return self._limit is not None and self.count / self._num_rows > self._limit

    def _ingest_faults(self) -> Iterator[Row]:
        for bucket in self._buckets:
            if bucket.num_faults:
                for row in self._job.ledger.rows(bucket.bucket):
                    if row["reason"] is not None:
                        yield {**row, "stage": "ingest"}


def check_outcome(job: Job, summary: Summary) -> None:
    """See whether too much of a run is quarantined, all of it counted.

    Raises:
        QuarantineError: if it is.
    """
    limit, folder = job.config.fail_above, f"{job.folder}/quarantine"
    if limit is not None and summary.quarantined / summary.rows_read > limit:
        rows = [
            row
            for name in job.store.names(folder)
            for row in job.store.read_table(name).to_pylist()
        ]
        raise QuarantineError(_told(rows, summary.quarantined, summary.rows_read, job, folder))


def failed_traces(part: Part, role: Role, job: Job) -> list[Row]:
    """The traces of a run in a part that a model has failed on and is there to read.

    Args:
        part: Which part.
        role: What the model is in the run.
        job: The run.

    Raises:
        StoreError: naming the file, if one is missing or about other traces.
    """
    name = f"{bucket_folder(job.config.name, part.bucket)}/{part.key}.parquet"
    trace_ids: list[str] = job.store.read_table(name, ["trace_id"]).column("trace_id").to_pylist()
    ledger = job.ledger.traces(part.bucket)
    failed: list[Row] = []
    for scores in read_scores(job.store, job.identities[role].key, part.key, trace_ids):
        row = ledger.get(scores["trace_id"])
        if row is None or scores["error"] is None or is_pruned(scores):
            continue
        if is_teacher(role) and teacher_of(row["teacher_name"], job.models) != role:
            continue
        reason, _, detail = scores["error"].partition(": ")
        told = {"stage": "score", "reason": reason, "column": role, "detail": detail}
        failed.append({name: {**row, **told}[name] for name in QUARANTINE.names})
    return failed


def _recalled(parts: Sequence[Part], roles: Sequence[Role], job: Job) -> Iterator[Row]:
    """What models have failed on, by what the store holds: asked in tasks."""
    rows = [{"bucket": part.bucket, "key": part.key} for part in parts]
    yield from over_tasks(rows, partial(recall_parts, roles=roles, job=job))


def recall_parts(batch: pa.Table, *, roles: Sequence[Role], job: Job) -> pa.Table:
    """Body of the tasks: what models have failed on in the parts of a batch, schema QUARANTINE."""
    rows = [
        row
        for part in batch.to_pylist()
        for role in roles
        for row in failed_traces(Part(part["bucket"], part["key"], 0), role, job)
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE)


def _told(rows: Iterable[Row], count: int, num_rows: int, job: Job, folder: str) -> str:
    """How many of how many, why most of them, one of those, and how to go on."""
    rows = list(rows)
    reasons = Counter(f"{row['stage']}: {row['reason']}" for row in rows).most_common()
    counts = [f"{reason} {number:,}" for reason, number in reasons[:_MOST_REASONS]]
    if len(reasons) > _MOST_REASONS:
        counts.append(f"{len(reasons) - _MOST_REASONS} more reasons")
    first = next(row for row in rows if f"{row['stage']}: {row['reason']}" == reasons[0][0])
    row = "" if first["row"] is None else f" row {first['row']}"
    column = "" if first["column"] is None else f", column {first['column']}"
    return (
        f"{count:,} of {num_rows:,} rows read are quarantined ({_percent(count / num_rows)}), and"
        f" fail_above allows {_percent(job.config.fail_above or 0.0)}: {', '.join(counts)}. For example"
        f" {first['file']}{row}{column}: {first['reason']}: {first['detail']}. All of them are in"
        f" {job.store.show(folder)} (column reason). Mend the input, or raise fail_above: the same"
        " command then continues where this one stopped"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
