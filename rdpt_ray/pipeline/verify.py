"""Reference answers to verdicts: is the answer of a trace right? Part by part, in plain tasks.

The input's own `correct` is taken as it is; verdicts fill its nulls, or all of it with `overwrite`. A file
of the store is written when its part is done, so a killed run loses the parts in flight and no others.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from rich.console import Console

from rdpt_ray.method.verifiers import verifier_id, verifier_identity
from rdpt_ray.pipeline.judge import Judge, answer_half
from rdpt_ray.pipeline.part_tasks import keys_by_bucket
from rdpt_ray.pipeline.progress import stage
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.verifier_process import TIMEOUT
from rdpt_ray.selection_config import VerifyConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.verified import (
    VERIFIED,
    References,
    read_verdicts,
    references,
    verified_name,
)

Ledger = dict[str, dict[str, Any]]
"""trace_id -> its row of the run's ledger."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What the stage needs to know; the same for every part."""

    store: Root
    dataset: str
    run: str
    """The run's folder, relative to the store."""
    config: VerifyConfig


@dataclass(frozen=True, slots=True)
class VerifyCounts:
    """What verification came to; every trace is in `given`, `correct`, `wrong` or `unknown` once."""

    given: int = 0
    """Not verified: the input says it."""
    correct: int = 0
    wrong: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    """Why the verifier could not tell -> how many; with `overwrite` what the input says stands then."""
    contradicted: int = 0
    """Verdicts that are not what the input said; only with `overwrite`."""
    reused: int = 0
    """Verdicts that were in the store."""

    @property
    def num_traces(self) -> int:
        """All of them."""
        return self.given + self.correct + self.wrong + sum(self.unknown.values())

    def plus(self, other: "VerifyCounts") -> "VerifyCounts":
        """Both together."""
        reasons = Counter(self.unknown) + Counter(other.unknown)
        return VerifyCounts(
            self.given + other.given,
            self.correct + other.correct,
            self.wrong + other.wrong,
            dict(sorted(reasons.items())),
            self.contradicted + other.contradicted,
            self.reused + other.reused,
        )


def verify_answers(parts: Sequence[Part], job: Verification, console: Console) -> VerifyCounts:
    """Run the stage to its end, with its progress shown."""
    total = VerifyCounts()
    with stage(console, "verify answers", sum(part.num_traces for part in parts)) as advance:
        for counts in verify(parts, job):
            total = total.plus(counts)
            advance(counts.num_traces, f"{total.unknown.get(TIMEOUT, 0)} timeouts")
    return total


def verify(parts: Sequence[Part], job: Verification) -> Iterator[VerifyCounts]:
    """Run the stage.

    Args:
        parts: The run's.
        job: How, and where.

    Yields:
        One record per part, in any order; its verdicts are in the store by then.

    Raises:
        ConfigError: if the verifier is unknown or not installed.
    """
    verifier_identity(job.config.method)
    rows = [{"bucket": bucket, "keys": keys} for bucket, keys in keys_by_bucket(parts).items()]
    if not rows:
        return
    items = ray.data.from_items(rows, override_num_blocks=len(rows))
    body: Any = partial(verify_buckets, job=job)
    counted = items.map_batches(body, batch_size=1, batch_format="pyarrow", num_cpus=1)
    for row in counted.iter_rows():
        yield VerifyCounts(**json.loads(row["counts"]))


def verify_buckets(batch: pa.Table, *, job: Verification) -> Iterator[pa.Table]:
    """Body of the tasks: the parts of a bucket, each to its counts as JSON."""
    for row in batch.to_pylist():
        for counts in verify_bucket(row["bucket"], row["keys"], job):
            yield pa.table({"counts": [json.dumps(asdict(counts))]})


def verify_bucket(bucket: int, keys: Collection[str], job: Verification) -> Iterator[VerifyCounts]:
    """Verify the parts of a bucket that the store has no verdicts on.

    Two runs that ingest at once can store a trace in two parts; it is counted in the first.
    """
    table = job.store.read_table(f"{job.run}/rows/bucket={bucket:04d}.parquet")
    ledger: Ledger = {row["trace_id"]: row for row in table.to_pylist() if row["reason"] is None}
    wanted = references(ledger.values(), overwrite=job.config.overwrite)
    uncounted = set(ledger)
    with Judge(job.config) as judge:
        for key in sorted(keys):
            part = f"{bucket_folder(job.dataset, bucket)}/{key}.parquet"
            column = job.store.read_table(part, columns=["trace_id"]).column("trace_id")
            here = uncounted.intersection(column.to_pylist())
            due = {trace: wanted[trace] for trace in column.to_pylist() if trace in wanted}
            rows, reused = _verify_part(part, key, due, job, judge)
            uncounted -= here
            yield _counts({trace: ledger[trace] for trace in here}, rows, reused)


def _verify_part(
    part: str, key: str, due: References, job: Verification, judge: Judge
) -> tuple[list[dict[str, Any]], set[str]]:
    """The verdicts on a part, and which of them were in the store."""
    if not due:
        return [], set()
    limit_s = job.config.time_limit_s
    name = verified_name(verifier_id(job.config.method), key, due)
    held: dict[str, dict[str, Any]] = {}
    if job.store.exists(name):
        held = {row["trace_id"]: row for row in read_verdicts(job.store, name, due)}
        if _earlier_limit(job.store, name) < limit_s:  # another try for what took too long
            held = {trace: row for trace, row in held.items() if row["detail"] != TIMEOUT}
    if len(held) == len(due):
        return list(held.values()), set(held)
    texts = job.store.read_table(part, columns=["trace_id", "response", "answer_start"])
    halves = {
        trace["trace_id"]: answer_half(trace["response"], trace["answer_start"])
        for trace in texts.to_pylist()
    }
    rows: list[dict[str, Any]] = []
    for trace_id, reference in sorted(due.items()):
        if trace_id in held:
            rows.append(held[trace_id])
            continue
        verdict = judge(reference, halves[trace_id])
        rows.append({"trace_id": trace_id, **asdict(verdict)})
    facts = {"verifier": verifier_identity(job.config.method), "time_limit_s": str(limit_s)}
    job.store.write_table(name, pa.Table.from_pylist(rows, schema=VERIFIED), facts)
    return rows, set(held)


def _earlier_limit(store: Root, name: str) -> float:
    """The time limit that a file's verdicts were found under."""
    facts = store.read_table(name, columns=["trace_id"]).schema.metadata or {}
    return float(facts.get(b"time_limit_s", b"0"))


def _counts(ledger: Ledger, rows: list[dict[str, Any]], reused: set[str]) -> VerifyCounts:
    verdicts = [(row, ledger[row["trace_id"]]) for row in rows if row["trace_id"] in ledger]
    said = [(row["correct"], given["correct"]) for row, given in verdicts]
    reasons = Counter(row["detail"] for row, _ in verdicts if row["correct"] is None)
    return VerifyCounts(
        given=len(ledger) - len(verdicts),
        correct=sum(verdict is True for verdict, _ in said),
        wrong=sum(verdict is False for verdict, _ in said),
        unknown=dict(sorted(reasons.items())),
        contradicted=sum(None not in pair and pair[0] is not pair[1] for pair in said),
        reused=sum(row["trace_id"] in reused for row, _ in verdicts),
    )
