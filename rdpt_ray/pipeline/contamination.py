"""Traces that hold items of evaluation sets: found part by part, against hashes that all tasks share."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import ray

from rdpt_ray.method.overlap import Overlap, first_overlap, overlap_with
from rdpt_ray.pipeline.part_tasks import over_tasks
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.screening import (
    Screening,
    commit_drops,
    read_part,
    screened_rows,
)
from rdpt_ray.selection_config import ContaminationConfig
from rdpt_ray.storage.drops import Reason, count_drops
from rdpt_ray.storage.evaluation_sets import list_evaluation_sets, read_evaluation_sets

_FOUND = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        pa.field("trace_id", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


def load_evaluation_sets(config: ContaminationConfig) -> tuple[Overlap, dict[str, list[str]]]:
    """Read the evaluation sets, all of them.

    Args:
        config: Which ones.

    Returns:
        What to look in, and name -> fingerprints of its files: part of what decides a run.

    Raises:
        ConfigError: naming the key and the file, if one is missing or cannot be read to its end.
    """
    files = list_evaluation_sets(config.sets)
    overlap = overlap_with(read_evaluation_sets(config.sets, files), config.ngram)
    return overlap, {name: [file.fingerprint for file in files[name]] for name in config.sets}


def find_contaminated(parts: Sequence[Part], job: Screening) -> dict[Reason, int]:
    """Run the stage, or find it done.

    Args:
        parts: The run's parts, in any order.
        job: The run, with `filters.contamination`.

    Returns:
        Reason -> how many traces are dropped for it; empty where the stage is off.

    Raises:
        ConfigError: as `load_evaluation_sets`.
    """
    config = job.filters.contamination
    if config is None:
        return {}
    done = count_drops(job.store, job.run, "contaminated")
    if done is None:
        overlap, _ = load_evaluation_sets(config)
        done = commit_drops("contaminated", _search(parts, job, overlap, config), job)
    return {"contaminated": done}


def _search(
    parts: Sequence[Part], job: Screening, overlap: Overlap, config: ContaminationConfig
) -> dict[int, dict[str, str]]:
    """Bucket -> trace_id -> which item it holds."""
    ordered = sorted(parts, key=lambda part: (part.bucket, part.key))
    if not ordered:
        return {}
    rows = [{"bucket": part.bucket, "key": part.key} for part in ordered]
    body = partial(_search_parts, job=job, shared=ray.put(overlap), responses=config.responses)
    found: dict[int, dict[str, str]] = {}
    for row in over_tasks(rows, body):
        found.setdefault(row["bucket"], {})[row["trace_id"]] = row["detail"]
    return found


def _search_parts(batch: pa.Table, *, job: Screening, shared: Any, responses: bool) -> pa.Table:
    overlap: Overlap = ray.get(shared)
    parts = [Part(row["bucket"], row["key"], 0) for row in batch.to_pylist()]
    rows = [
        {"bucket": part.bucket, "trace_id": trace_id, "detail": label}
        for part in parts
        for trace_id, label in search_part(part, job, overlap, responses=responses)
    ]
    return pa.Table.from_pylist(rows, schema=_FOUND)


def search_part(
    part: Part, job: Screening, overlap: Overlap, *, responses: bool
) -> list[tuple[str, str]]:
    """Body of the tasks: the traces of a part that hold an item, with the first that they hold.

    Args:
        part: Which one.
        job: The run. Traces that fail other filters are looked at as well.
        overlap: The items.
        responses: Look in responses too, after every message of the prompt.
    """
    columns = ["trace_id", "prompt_id", "messages", *(["response"] if responses else [])]
    table = read_part(part, job, columns)
    by_prompt: dict[str, str | None] = {}
    found: list[tuple[str, str]] = []
    for row in table.take(screened_rows(part, replace(job, passes=None), table)).to_pylist():
        if row["prompt_id"] not in by_prompt:
            texts = [message["content"] or "" for message in row["messages"]]
            by_prompt[row["prompt_id"]] = _first(texts, overlap)
        label = by_prompt[row["prompt_id"]]
        if label is None and responses:
            label = first_overlap(row["response"], overlap)
        if label is not None:
            found.append((row["trace_id"], label))
    return found


def _first(texts: list[str], overlap: Overlap) -> str | None:
    labels = (first_overlap(text, overlap) for text in texts)
    return next((label for label in labels if label is not None), None)
