"""Supervised fine-tuning of the student on selected traces: Ray Train runs TRL's SFTTrainer.

A training is named by what decides its weights. Its checkpoints lie under that name, so a driver or a
worker that is killed costs the steps since the last one, and the same command finds a finished model done.
Several trainings share one Ray; each is continued, and found, on its own.
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, cast

import ray
from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.errors import CapacityError, ConfigError, Interrupted
from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.distill_fit import train
from rdpt_ray.pipeline.distill_job import Distilled, DistillJob, open_training
from rdpt_ray.pipeline.distill_steps import POLL_S, Progress, new_steps
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.progress import stage


def distill(config: CurateConfig, console: Console) -> Distilled:
    """Train the student, or continue, or find it trained.

    Args:
        config: With a section `distill`.
        console: Where progress is shown.

    Raises:
        RdptError: whatever is wrong with config, data, model or cluster, before anything is trained
            wherever it can be known by then.
    """
    return distill_many([config], 1, console)[0]


def distill_many(
    configs: Sequence[CurateConfig], num_parallel: int, console: Console
) -> list[Distilled]:
    """Train several students, some at the same time; each is continued and found done on its own.

    Args:
        configs: Each with a section `distill`, and folders of their own in `distill.to`.
        num_parallel: Trainings at the same time.
        console: Where progress is shown.

    Returns:
        The models, in the order of the configs.

    Raises:
        RdptError: as `distill`. Trainings that run are brought to their end first, others are not begun.
    """
    jobs = [open_training(config) for config in configs]
    _check_folders(jobs)
    found = {at: job.done for at, job in enumerate(jobs) if job.done is not None}
    if len(found) < len(jobs):
        with connected():
            found |= _train_all(
                {at: job for at, job in enumerate(jobs) if at not in found}, num_parallel, console
            )
    return [found[at] for at in range(len(jobs))]


def _check_folders(jobs: Sequence[DistillJob]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.folder.root.uri in seen:
            raise ConfigError(f"distill.to: {job.settings.to}: two trainings are to write there")
        seen.add(job.folder.root.uri)


def _check_room(job: DistillJob) -> None:
    """Ray would wait for ever for workers that no node can hold."""
    workers, cluster = job.settings.workers, connected_cluster()
    room = cluster.room(
        PoolConfig(
            num_cpus=workers.num_cpus,
            num_gpus=workers.num_gpus,
            accelerator_type=workers.accelerator_type,
        )
    )
    if room < workers.num_workers and not cluster.can_grow:
        each = f"{workers.num_cpus:g} CPU and {workers.num_gpus} GPU"
        kind = f" on nodes with {workers.accelerator_type}" if workers.accelerator_type else ""
        raise CapacityError(
            f"distill.workers: {workers.num_workers} workers with {each} each{kind} do not fit this cluster,"
            f" which has room for {room}; lower num_workers or what each takes, or add nodes"
        )


def _train_all(
    jobs: dict[int, DistillJob], num_parallel: int, console: Console
) -> dict[int, Distilled]:
    """Train in threads that wait for Ray, while this one shows how far they are."""
    for job in jobs.values():
        _check_room(job)
    steps = new_steps()
    threads = ThreadPoolExecutor(max(1, min(num_parallel, len(jobs))))
    running = {threads.submit(train, job, steps, console): at for at, job in jobs.items()}
    try:
        if len(jobs) == 1:
            _show_steps(steps, [*running], console)
        else:
            _show_trainings(steps, [*running], console)
    except (KeyboardInterrupt, SystemExit) as error:  # Ray makes the second of SIGTERM
        threads.shutdown(wait=False, cancel_futures=True)
        raise Interrupted(
            "stopped as asked; run the same command again to continue from the last checkpoint"
        ) from error
    threads.shutdown(cancel_futures=True)
    failed = [future.exception() for future in running if not future.cancelled()]
    for error in filter(None, failed):
        raise error
    return {at: future.result() for future, at in running.items()}


def _show_steps(steps: Any, running: list[Future[Distilled]], console: Console) -> None:
    """The steps of one training; before its first there is nothing to show."""
    said: Progress | None = None
    while said is None:
        if wait(running, POLL_S).done:
            return
        said = next(iter(_said(steps).values()), None)
    with stage(console, "distill", said.num_steps) as advance:
        shown = 0
        while True:
            done = bool(wait(running, POLL_S).done)
            said = next(iter(_said(steps).values()))
            advance(said.step - shown, _loss(said))
            shown = said.step
            if done:
                return


def _show_trainings(steps: Any, running: list[Future[Distilled]], console: Console) -> None:
    """Many trainings: how many are done, and how far the others are."""
    with stage(console, "distill", len(running)) as advance:
        waiting = set(running)
        while waiting:
            done, waiting = wait(waiting, POLL_S, FIRST_COMPLETED)
            failed = any(future.exception() for future in done)
            said = _said(steps).values()
            under_way = [
                f"{each.step}/{each.num_steps}" for each in said if each.step < each.num_steps
            ]
            advance(len(done), f"({', '.join(under_way)} steps)" if under_way else "")
            if failed:
                return


def _said(steps: Any) -> dict[str, Progress]:
    return cast(dict[str, Progress], ray.get(steps.said.remote()))


def _loss(said: Progress) -> str:
    return "" if said.loss is None else f"loss {said.loss:.4f}"
