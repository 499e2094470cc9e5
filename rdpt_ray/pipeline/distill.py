"""Supervised fine-tuning of the student on selected traces: Ray Train runs TRL's SFTTrainer.

A training is named by what decides its weights. Its checkpoints lie under that name, so a driver or a
worker that is killed costs the steps since the last one, and the same command finds a finished model done.
Several trainings share one Ray; each is continued, and found, on its own.
"""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import ray
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.torch import TorchTrainer
from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.distill_config import DistillConfig, WorkersConfig
from rdpt_ray.errors import CapacityError, ConfigError, Interrupted, ModelError
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.distill_checkpoints import file_system_of
from rdpt_ray.pipeline.distill_data import Examples, Source, open_source, read_examples
from rdpt_ray.pipeline.distill_folder import ModelFolder, model_folder
from rdpt_ray.pipeline.distill_settings import (
    check_trainer,
    what_decides_weights,
    worker_batch,
)
from rdpt_ray.pipeline.distill_steps import POLL_S, Progress, new_steps
from rdpt_ray.pipeline.distill_worker import Trained, Training, train_on_worker
from rdpt_ray.pipeline.progress import stage
from rdpt_ray.publish.model_card import ModelFacts, card_files
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.scoring.turn_end import end_of_turn

PACKAGES = ("rdpt_ray", "trl", "transformers", "peft", "torch", "ray")

KEPT = 2
"""Checkpoints of a training: the older one is whole while the newer is being written."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """A model that is there."""

    model: str
    """Its folder, which `models.distilled.model` may name."""
    examples: int
    left_out: dict[str, int]
    """Why -> how many traces were not learnt from."""
    tokens: int
    """Tokens of responses that were learnt, each as often as it was."""
    steps: int
    loss: float
    """Mean of the last steps, in nats per token."""
    seconds: float
    """That the last start of the training took; 0 if the model was there."""
    resumed_from: int | None
    """The step of the checkpoint that the last start continued from."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Job:
    """A training before it begins."""

    config: CurateConfig
    settings: DistillConfig
    source: Source
    student: ModelIdentity
    folder: ModelFolder
    done: Distilled | None
    """The model that is there already."""


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
    jobs = [_open(config) for config in configs]
    _check_folders(jobs)
    found = {at: job.done for at, job in enumerate(jobs) if job.done is not None}
    if len(found) < len(jobs):
        with connected():
            found |= _train_all(
                {at: job for at, job in enumerate(jobs) if at not in found}, num_parallel, console
            )
    return [found[at] for at in range(len(jobs))]


def _open(config: CurateConfig) -> _Job:
    settings = config.distill
    if settings is None:
        raise ConfigError("distill: this config has no such section (docs/distilling.md)")
    if settings.workers.num_gpus > 1:
        raise ConfigError(
            f"distill.workers.num_gpus: {settings.workers.num_gpus}, but a worker trains on one GPU; set"
            f" num_gpus: 1 and num_workers: {settings.workers.num_workers * settings.workers.num_gpus}"
        )
    worker_batch(settings)
    _check_packages(settings)
    check_trainer(settings.trainer)
    student = identity_of(
        config.models.student.model_copy(
            update={
                "engine": "transformers",
                "dtype": "float32",
                "signals": [],
                "endpoint": None,
                "recorded": None,
            }
        )
    )
    source = open_source(config, settings.data)
    folder = model_folder(
        settings.to,
        {
            "data": source.version,
            "student": student.key,
            "settings": what_decides_weights(settings),
        },
    )
    record = folder.record()
    done = None if record is None else _found(folder, record)
    return _Job(config, settings, source, student, folder, done)


def _check_packages(settings: DistillConfig) -> None:
    missing = [name for name in ("trl", "peft") if _version(name) is None]
    if "trl" in missing or (settings.lora is not None and missing):
        raise ModelError(
            f"distilling needs {' and '.join(missing)}: pip install 'rdpt_ray[distill]', on every node"
        )


def _check_folders(jobs: Sequence[_Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.folder.root.uri in seen:
            raise ConfigError(f"distill.to: {job.settings.to}: two trainings are to write there")
        seen.add(job.folder.root.uri)


def _found(folder: ModelFolder, record: dict[str, Any]) -> Distilled:
    folder.clear()
    told = record["result"]
    return Distilled(
        folder.root.uri,
        told["examples"],
        told["left_out"],
        told["tokens"],
        told["steps"],
        told["loss"],
        0.0,
        told["resumed_from"],
    )


def _train_all(jobs: dict[int, _Job], num_parallel: int, console: Console) -> dict[int, Distilled]:
    """Train in threads that wait for Ray, while this one shows how far they are."""
    steps = new_steps()
    threads = ThreadPoolExecutor(max(1, min(num_parallel, len(jobs))))
    running = {threads.submit(_train, job, steps, console): at for at, job in jobs.items()}
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


def _train(job: _Job, steps: Any, console: Console) -> Distilled:
    """Read the data, train, and finish the folder."""
    settings, folder = job.settings, job.folder
    examples = read_examples(job.source, job.student, settings.max_length)
    if examples.left_out:
        told = ", ".join(f"{count:,} {why}" for why, count in sorted(examples.left_out.items()))
        console.print(
            f"left out of {job.source.run}: {told} (distill.max_length is {settings.max_length:,})",
            highlight=False,
            markup=False,
        )
    folder.begin()
    training = Training(
        name=folder.root.uri,
        config=settings,
        student=job.student,
        end=end_of_turn(encoder_of(job.student)),
        table=ray.put(examples.table),
        checkpoints=folder.checkpoints,
        model=folder.root,
        steps=steps,
    )
    trained = _fit(training)
    if trained.error is not None:
        raise trained.error
    return _finish(job, examples, trained)


def _fit(training: Training) -> Trained:
    """Have Ray Train run it; comes back when it is over."""
    _be_quiet()
    workers, folder = training.config.workers, training.checkpoints
    storage, _, name = folder.path("").rstrip("/").rpartition("/")
    trainer = TorchTrainer(
        train_on_worker,
        train_loop_config={"training": training},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.num_gpus > 0,
            resources_per_worker=_resources(workers),
            accelerator_type=workers.accelerator_type,
        ),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            storage_filesystem=file_system_of(folder),
            failure_config=FailureConfig(max_failures=workers.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=KEPT),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        return cast(Trained, trainer.fit().return_value)
    except WorkerGroupError as error:
        first = next(iter(error.worker_failures.values()), error)
        raise CapacityError(
            f"{training.model.uri}: the training was lost {workers.max_failures + 1} times"
            f" (distill.workers.max_failures), the last time by {type(first).__name__}:"
            f" {str(first).strip().splitlines()[-1]}; run the same command again to continue from the"
            " last checkpoint"
        ) from error


def _resources(workers: WorkersConfig) -> dict[str, float]:
    gpus = {"GPU": workers.num_gpus} if workers.num_gpus else {}
    return {"CPU": workers.num_cpus, **gpus}


def _be_quiet() -> None:
    """Our own progress replaces Ray Train's log lines; a worker's own log keeps all it says."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    for name, value in {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # of 2: how late the end of a training is seen
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
    }.items():
        os.environ.setdefault(name, value)


def _finish(job: _Job, examples: Examples, trained: Trained) -> Distilled:
    """Write card and record beside the weights."""
    folder = job.folder
    facts = ModelFacts(
        student=job.student.model,
        revision=job.student.revision,
        run=job.source.run,
        data=job.source.uri,
        manifest_sha256=job.source.manifest_sha256,
        manifest=job.source.manifest,
        settings=what_decides_weights(job.settings),
        examples=examples.table.num_rows,
        left_out=dict(sorted(examples.left_out.items())),
        licenses=examples.licenses,
        tokens=trained.num_learnt,
        steps=trained.num_steps,
        losses=trained.losses,
        versions=_versions(),
    )
    for name, content in card_files(facts, job.settings.to).items():
        folder.root.write_bytes(name, content)
    distilled = Distilled(
        model=folder.root.uri,
        examples=facts.examples,
        left_out=dict(facts.left_out),
        tokens=facts.tokens,
        steps=facts.steps,
        loss=trained.losses[-1][1] if trained.losses else float("nan"),
        seconds=round(trained.seconds, 1),
        resumed_from=trained.resumed_from,
    )
    folder.end(
        {
            "result": {key: value for key, value in asdict(distilled).items() if key != "model"},
            "losses": trained.losses,
            "run": facts.run,
            "manifest_sha256": facts.manifest_sha256,
            "student": {"model": facts.student, "revision": facts.revision},
            "files": folder.checksums(),
            "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": facts.versions,
        }
    )
    return distilled


def _versions() -> dict[str, str]:
    return {name: known for name in PACKAGES if (known := _version(name)) is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
