"""What of a job the store holds already, and what remains to be read."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from rdpt_ray.config import Role
from rdpt_ray.method.sample_totals import Total
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.pipeline.job import Job
from rdpt_ray.pipeline.plan_sample import Sample, Tokens, own_traces, traces_in
from rdpt_ray.pipeline.roles import UNPROMPTED, demand_of
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.undecided import Asked, ask
from rdpt_ray.storage.parts import bucket_folder, bucket_of, stored_traces
from rdpt_ray.storage.runs import read_json
from rdpt_ray.storage.scores import scored_parts

MOST_BUCKETS = 32
"""Buckets that are looked into for traces that the store has already."""

MOST_ASKED = 256
"""Parts that are looked into one by one for what a selection still needs."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """One model's share of work that is left."""

    share: float
    """0: the store has it all."""
    is_exact: bool


def remaining_of_run(job: Job, role: Role, parts: Sequence[Part], tokens: Tokens) -> Remaining:
    """What is left of a run that is ingested.

    Raises:
        StoreError: if the store cannot be listed or read.
    """
    done = scored_parts(job.store, job.identities[role].key)
    left = [part for part in parts if part.key not in done]
    demand = demand_of(role, job.config, job.kind, job.ledger, job.identities)
    can_ask = demand is not None and (demand.prune is None or _is_asked(job, parts))
    if demand is not None and can_ask and len(left) <= MOST_ASKED:
        asked = Asked(job.store, job.config.name, job.identities[role].key, demand)
        answers = [ask(part, asked) for part in left]
        unread = sum(int(each["num_unread"]) for each in answers if each["is_open"])
        return Remaining(min(1.0, unread / max(1.0, tokens.traces.value)), is_exact=not unread)
    work = tokens.by_part
    if all(part.key in work for part in parts) and sum(work.values()):
        share = sum(work[part.key] for part in left) / sum(work.values())
        return Remaining(share, is_exact=True)
    num_traces = sum(part.num_traces for part in parts)
    share = sum(part.num_traces for part in left) / max(1, num_traces)
    return Remaining(share, is_exact=not left or len(left) == len(parts))


def _is_asked(job: Job, parts: Sequence[Part]) -> bool:
    """Whether the models that a selection goes by have read everything."""
    first = [role for role in ("student", UNPROMPTED) if role in job.identities]
    keys = {part.key for part in parts}
    return all(keys <= scored_parts(job.store, job.identities[role].key) for role in first)


def remaining_of_sample(job: Job, sample: Sample) -> dict[Role, Remaining]:
    """What is left of an input that this run has not ingested: earlier runs may hold traces of it.

    Raises:
        StoreError: if the store cannot be listed or read.
    """
    record = f"traces/{job.config.name}/dataset.json"
    roles = list(job.identities)
    if not job.store.exists(record):
        return dict.fromkeys(roles, Remaining(1.0, is_exact=True))
    num_buckets = int(read_json(job.store, record)["num_buckets"])
    traces = pa.concat_tables(
        [
            traces_in(block).select(["trace_id", "prompt_id", "teacher_name"])
            for block in sample.blocks
        ]
    )
    buckets = [bucket_of(name, num_buckets) for name in traces.column("prompt_id").to_pylist()]
    there = sorted(set(buckets))
    chosen = set(random.Random(job.config.plan.seed).sample(there, min(len(there), MOST_BUCKETS)))
    traces = traces.filter(pa.array([bucket in chosen for bucket in buckets], pa.bool_()))
    part_of: dict[str, str] = {}
    for bucket in chosen:
        folder = bucket_folder(job.config.name, bucket)
        part_of |= stored_traces(job.store, folder, splitter_id(job.config.split.unit))
    found: dict[Role, Remaining] = {}
    for role, identity in job.identities.items():
        done = scored_parts(job.store, identity.key)
        mine = own_traces(role, traces, roles).column("trace_id").to_pylist()
        left = sum(part_of.get(trace_id) not in done for trace_id in mine)
        found[role] = Remaining(left / max(1, len(mine)), is_exact=not done)
    return found


def prompts_of_run(job: Job, parts: Sequence[Part]) -> Total | None:
    """The prompts of a run that is ingested, counted; None where it has too many parts for that.

    Raises:
        StoreError: if a part cannot be read.
    """
    if len(parts) > MOST_ASKED:
        return None
    prompts: set[str] = set()
    for part in parts:
        name = f"{bucket_folder(job.config.name, part.bucket)}/{part.key}.parquet"
        prompts.update(job.store.read_table(name, ["prompt_id"]).column(0).to_pylist())
    return Total(len(prompts), len(prompts), len(prompts))
