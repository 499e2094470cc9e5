"""Buckets that a round finds as the round before left them: their tables are taken over, not made again.

A bucket's tables are a pure function of its ledger, its parts, their scores and the settings. What they were
made of is written beside them, with the bucket's summary, in STORE/runs/<run-id>/made_of/bucket=0007.json;
where it is the same for the round before, its tables are copied, for a fourteenth of the processor time
(docs/schedules.md). Whatever cannot be compared (an earlier run that is gone, a damaged table, traces that a
teacher has not read to the end) is made anew.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import StoreError
from rdpt_ray.method.summary import Summary
from rdpt_ray.method.verifiers import verifier_id
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.lineage import TABLES
from rdpt_ray.storage.files import Root, table_in
from rdpt_ray.storage.runs import canonical_json, parsed, write_json
from rdpt_ray.storage.scores import score_name
from rdpt_ray.storage.seals import is_whole
from rdpt_ray.storage.verified import references, verified_name


@dataclass(frozen=True, slots=True)
class Rounds:
    """What rounds of one schedule have in common."""

    settings: dict[str, Any]
    """Everything but the input that decides a run's tables."""
    earlier: str | None
    """Folder of the run that the last complete round left, relative to the store."""


def made_of(
    bucket: IngestedBucket, ledger: Ledger, model_keys: dict[str, str], told: Any
) -> str | None:
    """A digest of everything a bucket's tables are made of; None where not all of it is settled.

    Args:
        bucket: Which one, and the parts its traces lie in.
        ledger: Of the run.
        model_keys: Role -> model-key.
        told: What else decides them: the settings, and what the run has found out for itself.
    """
    store = ledger.store
    names = [score_name(model, part) for model in model_keys.values() for part in bucket.parts]
    scores = store.read_many(names)
    if len(scores) < len(set(names)):
        return None  # some are partial, and may grow
    try:
        verdict_names = list(_verdicts(bucket, ledger, next(iter(model_keys.values())), scores))
    except (pa.ArrowException, ValueError):
        return None  # who reads it says what is wrong with it
    verdicts = store.read_many(verdict_names)
    if len(verdicts) < len(verdict_names):
        return None
    about = [told, bucket.bucket, sorted(bucket.parts.items()), sorted(model_keys.items())]
    digest = hashlib.sha256(canonical_json([*about, ledger.drops(bucket.bucket)]).encode())
    digest.update(store.read_bytes(f"{ledger.run}/rows/bucket={bucket.bucket:04d}.parquet"))
    for name, content in sorted([*scores.items(), *verdicts.items()]):
        digest.update(f"{name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _verdicts(
    bucket: IngestedBucket, ledger: Ledger, model_key: str, scores: dict[str, bytes]
) -> Iterator[str]:
    """The files of the verdicts on a bucket's answers: one that timed out may be told anew."""
    if ledger.verify is None:
        return
    rows = ledger.traces(bucket.bucket)
    for part in bucket.parts:
        table = table_in(scores[score_name(model_key, part)], ["trace_id"])
        own = [rows[each] for each in table.column("trace_id").to_pylist() if each in rows]
        due = references(own, overwrite=ledger.verify.overwrite)
        if due:
            yield verified_name(verifier_id(ledger.verify.method), part, due)


def remember(bucket: int, store: Root, run: str, digest: str | None, summary: Summary) -> None:
    """Say what a bucket's tables, all of which are written, were made of; None takes back what was said."""
    if digest is None:
        store.delete(_name(run, bucket))
        return
    told = {"made_of": digest, "summary": summary.to_dict()}
    write_json(store, _name(run, bucket), {**told, "sum": _sum(told)})


def _sum(told: dict[str, Any]) -> str:
    """A checksum of what is said, so that a damaged word is not believed."""
    return hashlib.sha256(canonical_json([told["made_of"], told["summary"]]).encode()).hexdigest()


def taken_over(bucket: int, store: Root, earlier: str, run: str, digest: str) -> Summary | None:
    """Copy a bucket's tables from an earlier run, if they are made of the same.

    Args:
        bucket: Which one.
        store: Where both runs lie.
        earlier: The folder to copy from.
        run: The folder to copy to.
        digest: What the tables are to be made of.

    Returns:
        The bucket's summary, or None if there is nothing to take over.
    """
    word = _name(earlier, bucket)
    names = [f"{table}/bucket={bucket:04d}.parquet" for table in TABLES]
    found = store.read_many([word, *(f"{earlier}/{name}" for name in names)])
    if len(found) <= len(names):
        return None
    try:
        told = parsed(store, word, found.pop(word))
        if told["made_of"] != digest or told["sum"] != _sum(told):
            return None
        summary = Summary.from_dict(told["summary"])
    except (StoreError, KeyError, TypeError):
        return None
    if not all(map(is_whole, found.values())):
        return None
    for name in names:
        store.write_bytes(f"{run}/{name}", found[f"{earlier}/{name}"])
    remember(bucket, store, run, digest, summary)
    return summary


def _name(run: str, bucket: int) -> str:
    return f"{run}/made_of/bucket={bucket:04d}.json"
