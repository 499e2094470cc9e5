"""Which parts a model still has to read something of: asked in plain tasks, before the model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from rdpt_ray.pipeline.demand import Demand
from rdpt_ray.pipeline.part_tasks import over_tasks
from rdpt_ray.pipeline.score import Part, read_traces
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.scores import read_scores, without_passing


@dataclass(frozen=True, slots=True)
class Asked:
    """What the tasks need to know; the same for every part."""

    store: Root
    dataset: str
    model_key: str
    demand: Demand


@dataclass(frozen=True, slots=True)
class Undecided:
    """What is left for a model, and what is not."""

    parts: list[Part]
    """Parts to read something of; `num_held` of their traces need no more reading."""
    num_traces: int
    """Traces of the run that are the model's to read, over all parts."""
    num_pruned: int
    """Of those, the ones that will not be read, in parts with nothing left to read."""


def undecided(parts: Sequence[Part], asked: Asked) -> Undecided:
    """Run the stage.

    Args:
        parts: The run's parts.
        asked: Of which model, and what.
    """
    rows = [
        {"index": index, "bucket": part.bucket, "key": part.key} for index, part in enumerate(parts)
    ]
    answers = sorted(
        over_tasks(rows, partial(ask_parts, asked=asked)), key=lambda row: row["index"]
    )
    left = [
        replace(
            parts[row["index"]],
            num_traces=row["num_traces"],
            num_held=row["num_traces"] - row["num_unread"],
        )
        for row in answers
        if row["is_open"]
    ]
    return Undecided(
        left,
        sum(row["num_traces"] for row in answers),
        sum(row["num_unread"] for row in answers if not row["is_open"]),
    )


def ask_parts(batch: pa.Table, *, asked: Asked) -> pa.Table:
    """Body of the tasks: what is left of each part of a batch."""
    return pa.Table.from_pylist(
        [
            {"index": row["index"], **ask(Part(row["bucket"], row["key"], 0), asked)}
            for row in batch.to_pylist()
        ]
    )


def ask(part: Part, asked: Asked) -> dict[str, int | bool]:
    """Whether a model still has to read something of a part, of how many traces of its own."""
    name = f"{bucket_folder(asked.dataset, part.bucket)}/{part.key}.parquet"
    traces = read_traces(asked.store, name)
    ids = [trace.trace_id for trace in traces]
    scores = read_scores(asked.store, asked.model_key, part.key, ids)
    rows = without_passing({row["trace_id"]: row for row in scores})
    reading = asked.demand.of(part.bucket, part.key, traces)
    return {
        "is_open": bool(reading.wave(rows)),
        "num_unread": reading.num_unread(rows),
        "num_traces": reading.num_traces,
    }
