"""Single stages of the main job, for those who want to run them apart: `rdpt ingest`, `rdpt score`.

They do what `curate` would do first and leave it in the store, so that `curate` goes on from there.
"""

from functools import partial
from typing import Any

from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.curate import check_cluster, check_job, score_all, verify_and_screen
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.job import Job, open_job, parts_of, working
from rdpt_ray.pipeline.quarantined import Quarantined
from rdpt_ray.pipeline.repair import soundly
from rdpt_ray.pipeline.session import AtWork


def ingest_only(config: CurateConfig, console: Console) -> dict[str, Any]:
    """Read the input into the store.

    Returns:
        Where the run is, rows read, rows that became no trace, traces and parts.

    Raises:
        RdptError: whatever is wrong with the config, the input, a model or the store.
    """
    job = open_job(config, "curate")
    with connected(), working(job, console) as session:
        return soundly(job, session, lambda buckets, _: _counts(job, buckets))


def score_only(config: CurateConfig, console: Console) -> dict[str, Any]:
    """Read the input into the store, verify answers, find duplicates, and score by every model.

    Returns:
        As `ingest_only`, with `scored`, `reused` and `pruned`: role -> traces.

    Raises:
        RdptError: whatever is wrong with the config, the input, a model, the store or the cluster.
    """
    job = open_job(config, "curate")
    check_job(job)
    with connected(), working(job, console) as session:
        check_cluster(job, console)
        return soundly(job, session, partial(_scored, job, session))


def _scored(job: Job, session: AtWork, buckets: list[IngestedBucket], _: int) -> dict[str, Any]:
    quarantined = Quarantined(job, buckets)
    quarantined.check()
    parts = parts_of(buckets)
    verify_and_screen(job, parts, session)
    models = score_all(job, parts, session, quarantined)
    return {
        **_counts(job, buckets),
        "scored": {model.role: model.scored for model in models},
        "reused": {model.role: model.reused for model in models},
        "pruned": {model.role: model.pruned for model in models},
    }


def _counts(job: Job, buckets: list[IngestedBucket]) -> dict[str, Any]:
    return {
        "run": job.store.show(job.folder),
        "rows_read": sum(bucket.num_rows for bucket in buckets),
        "quarantined": sum(bucket.num_faults for bucket in buckets),
        "traces": sum(sum(bucket.parts.values()) for bucket in buckets),
        "parts": sum(len(bucket.parts) for bucket in buckets),
    }
