"""The main job over any number of traces, stage by stage, each stage of the driver watched.

Ingestion, the pool and all that follows are the real ones. A killed or repeated job begins with everything
that is scored, so once scores are there the main job itself is run, as it is: it loads no model.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.curate import curate, score_all
from rdpt_ray.pipeline.job import Job, ingest_input, open_job, parts_of, working
from rdpt_ray.pipeline.outlook import outlook
from rdpt_ray.pipeline.quarantined import Quarantined
from rdpt_ray.pipeline.repair import repair
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.pipeline.session import AtWork
from rdpt_ray.storage.sessions import sessions_of
from scale_parts.known_cost import load_known_cost
from scale_parts.made_up import job_over
from scale_parts.scores import name_parts, write_all_scores
from scale_parts.watch import Taken, own_mb, watched

CORES = 2
Measured = dict[str, float]

QUIET = Console(quiet=True)


def measure_job(num_traces: int) -> Measured:
    """Run the job over so many traces, in this process as its driver; what each stage took."""
    folder = Path(tempfile.mkdtemp(prefix="rdpt-scale-"))
    try:
        config = job_over(folder, num_traces)
        with _cluster():
            return _measured(config, num_traces)
    finally:
        shutil.rmtree(folder)


def _measured(config: CurateConfig, num_traces: int) -> Measured:
    job = open_job(config, "curate")
    with connected(), working(job, QUIET) as session:
        _warm()
        found: Measured = {"traces": num_traces, "driver_mb_before": own_mb()}
        with watched() as taken:
            buckets = ingest_input(job, session)
        found |= _told("ingest", taken)
        parts = parts_of(buckets)
        found |= {"parts": len(parts), "buckets": len(buckets), **_pooled(job, parts, session)}
    with watched() as taken:
        run = curate(config, QUIET)
    found |= _told("resume", taken)
    if run.summary.selected + run.summary.rejected != num_traces:
        raise RuntimeError(f"{run.uri}: {run.summary.selected} + {run.summary.rejected} traces")
    last = max(sessions_of(job.store, job.run_id), key=lambda each: len(each.timings))
    found |= {f"{name.replace(' ', '_')}_s": taken for name, taken in last.timings.items()}
    return found


def _pooled(job: Job, parts: list[Part], session: AtWork) -> Measured:
    """Score by the teacher, in a pool; the student's scores are put into the store."""
    write_all_scores(job, parts, CORES, ["student"])
    pool = PoolConfig(max_actors=CORES, num_cpus=1)
    seconds = 0.0
    first = 0.0
    with watched() as taken:
        for scored in score(
            parts,
            store=job.store,
            dataset=job.config.name,
            model=job.models["teacher"].model_copy(update={"pool": pool}),
            identity=job.identities["teacher"],
            session=session.file,
            load=load_known_cost,
        ):
            first = first or time.perf_counter()
            seconds += scored.seconds
        since_first = time.perf_counter() - first
    return _told("score", taken) | {"score_since_first_s": since_first, "score_parts_s": seconds}


def measure_listing(num_parts: int) -> Measured:
    """A start with so many parts, all scored: the driver's own work before it finds nothing to do.

    The store is a record of ingestion and the names of the files, which are empty: nothing reads them.
    """
    folder = Path(tempfile.mkdtemp(prefix="rdpt-scale-"))
    try:
        config = job_over(folder, 1000)
        job = open_job(config, "curate")
        with _cluster(), connected(), working(job, QUIET) as session:
            name_parts(job, num_parts)
            found: Measured = {"parts": num_parts, "driver_mb_before": own_mb()}
            with watched() as taken:
                damaged = repair(job, session, unread_only=True)
                buckets = ingest_input(job, session)
                parts = parts_of(buckets)
                told = outlook(job, parts)
                score_all(job, parts, session, Quarantined(job, buckets))
            if damaged or any(each.parts_to_read for each in told) or len(parts) != num_parts:
                raise RuntimeError(f"{told}: expected {num_parts} parts, all of them scored")
            return found | _told("listing", taken)
    finally:
        shutil.rmtree(folder)


def measure_pool(num_parts: int, num_actors: int, part_s: float) -> Measured:
    """Parts of a known cost through a pool of more actors than there are cores; they sleep.

    Args:
        num_parts: How many parts of 40 traces.
        num_actors: How many actors.
        part_s: What one part costs, in seconds.

    Returns:
        Seconds from the first record to the last, and what they would be with nothing around the parts.
    """
    folder = Path(tempfile.mkdtemp(prefix="rdpt-scale-"))
    try:
        config = job_over(folder, num_parts * 40)
        with _cluster():
            job = open_job(config, "curate")
            with connected(), working(job, QUIET) as session:
                parts = parts_of(ingest_input(job, session))
                pool = PoolConfig(
                    min_actors=num_actors, max_actors=num_actors, num_cpus=CORES / num_actors / 2
                )
                times: list[float] = []
                with watched() as taken:
                    for _ in score(
                        parts,
                        store=job.store,
                        dataset=config.name,
                        model=job.models["student"].model_copy(update={"pool": pool}),
                        identity=job.identities["student"],
                        session=session.file,
                        load=partial(load_known_cost, seconds=part_s),
                    ):
                        times.append(time.perf_counter())
    finally:
        shutil.rmtree(folder)
    warm = times[len(times) // 5 :]  # all actors are there by then
    return {
        "parts": len(parts),
        "actors": num_actors,
        "part_s": part_s,
        "parts_per_s": (len(warm) - 1) / (warm[-1] - warm[0]),
        "driver_cpu_s": taken.driver_cpu_s,
    }


def _told(stage: str, taken: Taken) -> Measured:
    return {
        f"{stage}_s": taken.wall_s,
        f"{stage}_driver_cpu_s": taken.driver_cpu_s,
        f"{stage}_others_cpu_s": taken.others_cpu_s,
        f"{stage}_driver_mb": taken.driver_mb,
        f"{stage}_worker_mb": taken.worker_mb,
    }


@contextmanager
def _cluster() -> Iterator[None]:
    """A Ray of two CPUs, which the job finds and uses."""
    ray.init(
        address="local",
        num_cpus=CORES,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _warm() -> None:
    """Ray's first data set loads its libraries; that is not what a stage takes."""
    items: Any = ray.data.from_items([{"x": 1}])
    items.map_batches(lambda batch: batch, num_cpus=1).take_all()
