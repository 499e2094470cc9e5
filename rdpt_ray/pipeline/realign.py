"""Stored token scores to sentence scores: what another splitter needs, without a model.

A part that lacks scores under a model, but whose traces all have token scores of it, gets its scores here,
in plain tasks, before any pool is started. Where only some traces have them, the part is told in which
files, so that the pool scores the rest only.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from rdpt_ray.pipeline.kept_tokens import keep_tokens, kept_tokens
from rdpt_ray.pipeline.part_tasks import keys_by_bucket, over_tasks
from rdpt_ray.pipeline.score import Part, read_traces
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.traces import sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.scores import write_scores
from rdpt_ray.storage.token_scores import stored_tokens, token_name


@dataclass(frozen=True, slots=True)
class Realignment:
    """Which token scores to look for; the same for every bucket."""

    store: Root
    dataset: str
    model_key: str
    keep: bool
    """Leave a file of token scores for every part, without rows where others' files have them all."""


def realign(parts: list[Part], job: Realignment) -> list[Part]:
    """Run the stage.

    Args:
        parts: Parts that a model has not scored.
        job: Which model, and where.

    Returns:
        The parts that still need the model, with the files that hold token scores of some of their
        traces, and how many traces those are.
    """
    rows = [{"bucket": bucket, "keys": keys} for bucket, keys in keys_by_bucket(parts).items()]
    by_key = {part.key: part for part in parts}
    left: list[Part] = []
    for row in over_tasks(rows, partial(realign_buckets, job=job)):
        files = tuple(row["files"])
        left.append(replace(by_key[row["key"]], token_files=files, num_held=row["num_held"]))
    return sorted(left, key=lambda part: (part.bucket, part.key))


LEFT = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("files", pa.list_(pa.string())),
        pa.field("num_held", pa.int64()),
    ]
)
"""What a task says of a part that needs the model."""


def realign_buckets(batch: pa.Table, *, job: Realignment) -> pa.Table:
    """Body of the tasks: the parts of a bucket that still need the model, schema LEFT."""
    left = [
        record
        for row in batch.to_pylist()
        for record in realign_bucket(row["bucket"], row["keys"], job)
    ]
    return pa.Table.from_pylist(left, schema=LEFT)


def realign_bucket(bucket: int, keys: Collection[str], job: Realignment) -> list[dict[str, Any]]:
    """Give every part its sentence scores whose traces all have token scores.

    Args:
        bucket: Of the dataset.
        keys: Its parts without scores.
        job: Which model, and where.

    Returns:
        A row of the schema LEFT for every other part.
    """
    where = stored_tokens(job.store, job.model_key, job.dataset, bucket)
    left: list[dict[str, Any]] = []
    for key in keys:
        name = f"{bucket_folder(job.dataset, bucket)}/{key}.parquet"
        column = job.store.read_table(name, columns=["trace_id"]).column("trace_id")
        trace_ids: list[str] = column.to_pylist()
        held = [where[trace_id] for trace_id in trace_ids if trace_id in where]
        if len(held) == len(trace_ids):
            _realign_part(bucket, key, set(held), job)
            continue
        own = token_name(job.model_key, job.dataset, bucket, key)  # the model writes it anew
        others = [file for file in held if file != own]
        left.append({"key": key, "files": sorted(set(others)), "num_held": len(others)})
    return left


def _realign_part(bucket: int, key: str, files: set[str], job: Realignment) -> None:
    traces = read_traces(job.store, f"{bucket_folder(job.dataset, bucket)}/{key}.parquet")
    held = kept_tokens(job.store, files, [trace.trace_id for trace in traces])
    rows = [
        scores_row(trace.trace_id, sentence_scores(trace, held[trace.trace_id])) for trace in traces
    ]
    own = token_name(job.model_key, job.dataset, bucket, key)
    if job.keep and own not in files:
        keep_tokens(job.store, own, [], [])
    write_scores(job.store, job.model_key, key, [trace.trace_id for trace in traces], rows)
