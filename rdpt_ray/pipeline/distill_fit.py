"""One training from its data to a finished folder, by Ray Train."""

import logging
import os
import time
from dataclasses import asdict
from typing import Any, cast

import ray
from ray.train import (
    CheckpointConfig,
    ControllerError,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.torch import TorchTrainer
from rich.console import Console

from rdpt_ray.distill_config import WorkersConfig
from rdpt_ray.errors import CapacityError
from rdpt_ray.pipeline.distill_checkpoints import file_system_of
from rdpt_ray.pipeline.distill_data import Examples, read_examples
from rdpt_ray.pipeline.distill_job import Distilled, DistillJob, version_of
from rdpt_ray.pipeline.distill_settings import what_decides_weights
from rdpt_ray.pipeline.distill_worker import Trained, Training, train_on_worker
from rdpt_ray.publish.model_card import ModelFacts, card_files
from rdpt_ray.publish.public_names import public_name
from rdpt_ray.scoring.loading import encoder_of
from rdpt_ray.scoring.turn_end import end_of_turn

PACKAGES = ("rdpt_ray", "trl", "transformers", "peft", "torch", "ray")

AGAIN = "run the same command again to continue from the last checkpoint"

KEPT = 2
"""Checkpoints of a training: the older one is whole while the newer is being written."""


def train(job: DistillJob, steps: Any, console: Console) -> Distilled:
    """Read the data, train, and finish the folder; it waits until that is done.

    Args:
        job: Whose model is not there yet.
        steps: The actor that is told how far it is.
        console: Where it is said what was left out.

    Raises:
        RdptError: if the data holds nothing to learn from, the student cannot be trained, or its workers are
            lost too often.
    """
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
            f" (distill.workers.max_failures), the last time by {_last_line(first)}; {AGAIN}"
        ) from error
    except ControllerError as error:
        raise CapacityError(
            f"{training.model.uri}: Ray Train cannot go on: {_last_line(error.controller_failure)}; {AGAIN}"
        ) from error


def _last_line(error: Exception) -> str:
    """What an error says, of a page of frames."""
    return f"{type(error).__name__}: {str(error).strip().rpartition(chr(10))[2]}"


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
        **({} if os.environ.get("RAY_ADDRESS") else {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}),
    }.items():
        os.environ.setdefault(name, value)


def _finish(job: DistillJob, examples: Examples, trained: Trained) -> Distilled:
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
            "student": {"model": public_name(facts.student), "revision": facts.revision},
            "files": folder.checksums(),
            "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": facts.versions,
        }
    )
    return distilled


def _versions() -> dict[str, str]:
    return {name: known for name in PACKAGES if (known := version_of(name)) is not None}
