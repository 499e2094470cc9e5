"""Scores of all parts put into the store without a pool, or only their names, to look at what is around."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from rdpt_ray.config import Role
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.job import Job
from rdpt_ray.pipeline.score import Part, read_traces
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.traces import sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.runs import INGESTED, write_json
from rdpt_ray.storage.scores import score_name, write_scores
from scale_parts.known_cost import said

BUCKET_PARTS = 50
"""Parts of a bucket; every number of parts that is asked for is a multiple of it, or less."""


def write_all_scores(job: Job, parts: list[Part], num_processes: int, roles: list[Role]) -> None:
    """Write what the models of these roles would say of every part."""
    keys = [job.identities[role].key for role in roles]
    write = partial(_write, store=job.store, dataset=job.config.name, model_keys=keys)
    with ProcessPoolExecutor(num_processes, get_context("spawn")) as pool:
        list(pool.map(write, parts, chunksize=64))


def name_parts(job: Job, num_parts: int) -> None:
    """Make a run look ingested and scored to who only lists files: a record, and empty files."""
    store = Path(job.store.uri)
    buckets: list[dict[str, Any]] = []
    made = 0
    for bucket in range(max(1, num_parts // BUCKET_PARTS)):
        keys = [f"{draw:032x}" for draw in _draws(bucket, BUCKET_PARTS)][: num_parts - made]
        made += len(keys)
        folder = store / bucket_folder(job.config.name, bucket)
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            (folder / f"{key}.parquet").touch()
            for identity in job.identities.values():
                scores = store / score_name(identity.key, key)
                scores.parent.mkdir(parents=True, exist_ok=True)
                scores.touch()
        counts = dict.fromkeys(keys, 40)
        buckets.append(asdict(IngestedBucket(bucket, 40 * len(keys), 0, counts)))
    write_json(job.store, f"{job.folder}/{INGESTED}", buckets)


def _draws(seed: int, count: int) -> list[int]:
    draw = Random(seed)
    return [draw.getrandbits(128) for _ in range(count)]


def _write(part: Part, *, store: Root, dataset: str, model_keys: list[str]) -> None:
    traces = read_traces(store, f"{bucket_folder(dataset, part.bucket)}/{part.key}.parquet")
    ids = [trace.trace_id for trace in traces]
    for key in model_keys:
        rows = [
            scores_row(trace.trace_id, sentence_scores(trace, said(key, trace))) for trace in traces
        ]
        write_scores(store, key, part.key, ids, rows)
