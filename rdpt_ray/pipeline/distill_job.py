"""A training before it begins: its data and student are known, and whether its model is there already."""

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rdpt_ray.config import CurateConfig
from rdpt_ray.distill_config import DistillConfig
from rdpt_ray.errors import ConfigError, ModelError
from rdpt_ray.pipeline.distill_data import Source, open_source
from rdpt_ray.pipeline.distill_folder import ModelFolder, model_folder
from rdpt_ray.pipeline.distill_settings import check_trainer, what_decides_weights, worker_batch
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import identity_of
from rdpt_ray.storage.files import public_uri


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
        return {**asdict(self), "model": public_uri(self.model)}


@dataclass(frozen=True, slots=True)
class DistillJob:
    """A training before it begins."""

    settings: DistillConfig
    source: Source
    student: ModelIdentity
    folder: ModelFolder
    done: Distilled | None
    """The model that is there already."""


def open_training(config: CurateConfig) -> DistillJob:
    """Check all that can be known before Ray is there.

    Raises:
        RdptError: whatever is wrong with the config, the data or the student.
    """
    settings = config.distill
    if settings is None:
        raise ConfigError("distill: this config has no such section (docs/distilling.md)")
    check_settings(settings)
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
    return DistillJob(settings, source, student, folder, done)


def check_settings(settings: DistillConfig) -> None:
    """What can be known of the section alone, and of what is installed here.

    Raises:
        ConfigError: if settings do not fit together, or one is not for TRL.
        ModelError: if TRL, or what it needs, is not installed.
    """
    if settings.workers.num_gpus > 1:
        raise ConfigError(
            f"distill.workers.num_gpus: {settings.workers.num_gpus}, but a worker trains on one GPU; set"
            f" num_gpus: 1 and num_workers: {settings.workers.num_workers * settings.workers.num_gpus}"
        )
    worker_batch(settings)
    _check_packages(settings)
    check_trainer(settings.trainer)


def _check_packages(settings: DistillConfig) -> None:
    missing = [name for name in ("trl", "peft") if version_of(name) is None]
    if "trl" in missing or (settings.lora is not None and missing):
        raise ModelError(
            f"distilling needs {' and '.join(missing)}: pip install 'rdpt_ray[distill]', on every node"
        )


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


def version_of(package: str) -> str | None:
    """The version of an installed package; None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
