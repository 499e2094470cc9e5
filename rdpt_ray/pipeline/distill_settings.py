"""The section `distill` as arguments of TRL's SFTConfig, and as what decides the weights."""

import difflib
from dataclasses import fields
from math import ceil
from typing import Any

from rdpt_ray.distill_config import DistillConfig, WorkersConfig
from rdpt_ray.errors import ConfigError

OURS = {
    "num_train_epochs": "distill.epochs",
    "max_steps": "distill.epochs",
    "learning_rate": "distill.learning_rate",
    "lr_scheduler_type": "distill.schedule",
    "warmup_ratio": "distill.warmup_ratio",
    "warmup_steps": "distill.warmup_ratio",
    "weight_decay": "distill.weight_decay",
    "per_device_train_batch_size": "distill.worker_batch_size",
    "gradient_accumulation_steps": "distill.batch_size and distill.worker_batch_size",
    "auto_find_batch_size": "distill.worker_batch_size",
    "max_length": "distill.max_length",
    "truncation_mode": "distill.max_length",
    "packing": "distill.packing",
    "packing_strategy": "distill.packing",
    "padding_free": "distill.packing",
    "bf16": "distill.dtype",
    "fp16": "distill.dtype",
    "bf16_full_eval": "distill.dtype",
    "fp16_full_eval": "distill.dtype",
    "gradient_checkpointing": "distill.gradient_checkpointing",
    "activation_checkpointing": "distill.gradient_checkpointing",
    "seed": "distill.seed",
    "data_seed": "distill.seed",
    "save_strategy": "distill.save_every",
    "save_steps": "distill.save_every",
    "save_total_limit": "distill.save_every",
    "save_only_model": "distill.save_every",
    "save_on_each_node": "distill.save_every",
    "resume_from_checkpoint": "running the same command again",
    "ignore_data_skip": "running the same command again",
    "output_dir": "distill.to",
    "use_cpu": "distill.workers.num_gpus",
    "ddp_backend": "distill.workers.num_gpus",
    "local_rank": "distill.workers",
    "eos_token": "the chat template of models.student",
    "pad_token": "the tokenizer of models.student",
    "chat_template_path": "models.student.chat_template",
    "completion_only_loss": "rdpt distill: the response is learnt, the prompt is not",
    "assistant_only_loss": "rdpt distill: the response is learnt, the prompt is not",
    "dataset_text_field": "rdpt distill, which tokenises as models.student is scored",
    "dataset_kwargs": "rdpt distill, which tokenises as models.student is scored",
    "dataset_num_proc": "rdpt distill, which tokenises as models.student is scored",
    "shuffle_dataset": "distill.seed",
    "train_sampling_strategy": "distill.seed",
    "length_column_name": "distill.seed",
    "dataloader_drop_last": "distill.batch_size",
    "remove_unused_columns": "rdpt distill",
    "disable_tqdm": "rdpt distill, which shows progress itself",
    "logging_steps": "rdpt distill, which keeps about 100 points of the loss",
    "logging_strategy": "rdpt distill, which keeps about 100 points of the loss",
    "trust_remote_code": "nothing: no code from a model's repository is run",
    "push_to_hub": "nothing: upload the finished folder with `hf upload`",
}
"""Arguments that are not taken from `distill.trainer` -> what decides them."""

NUM_POINTS = 100
"""Of the loss, about; each is the mean of the steps since the one before."""

NOT_IN_THE_WEIGHTS = {"to", "data", "save_every", "workers"}


def check_trainer(trainer: dict[str, Any]) -> None:
    """Whether every key of `distill.trainer` is an argument that may be given.

    Raises:
        ConfigError: naming the nearest argument, or what decides one that may not.
    """
    if not trainer:
        return
    from trl.trainer.sft_config import SFTConfig

    known = {each.name for each in fields(SFTConfig) if each.init}
    for key in trainer:
        if key in OURS:
            raise ConfigError(f"distill.trainer.{key}: decided by {OURS[key]}; leave it out")
        if key not in known:
            near = difflib.get_close_matches(key, known - set(OURS), n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"distill.trainer.{key}: not an argument of TRL's SFTConfig{hint}")


def worker_batch(config: DistillConfig) -> tuple[int, int]:
    """Examples that a worker takes at once, and how often it does so in a step.

    Raises:
        ConfigError: if a step's examples cannot be shared out like that.
    """
    num_workers = config.workers.num_workers
    at_once = config.worker_batch_size or max(1, config.batch_size // num_workers)
    times, rest = divmod(config.batch_size, num_workers * at_once)
    if rest or not times:
        raise ConfigError(
            f"distill.batch_size: {config.batch_size} is not a multiple of {num_workers} workers x"
            f" {at_once} examples (distill.workers.num_workers, distill.worker_batch_size); take"
            f" {(times + 1) * num_workers * at_once}, or another worker_batch_size"
        )
    return at_once, times


def threads_of(workers: WorkersConfig) -> int:
    """Compute threads of one worker."""
    return workers.num_threads or max(1, int(workers.num_cpus))


def what_decides_weights(config: DistillConfig) -> dict[str, Any]:
    """The settings that change the weights beyond rounding; places and pauses are not among them."""
    facts = config.model_dump(mode="json", exclude=NOT_IN_THE_WEIGHTS)
    at_once, _ = worker_batch(config)
    return {
        **facts,
        "worker_batch_size": at_once,
        "num_workers": config.workers.num_workers,
        "on_gpu": config.workers.num_gpus > 0,
    }


def sft_arguments(
    config: DistillConfig, folder: str, *, num_steps: int, save_every: int
) -> dict[str, Any]:
    """Arguments of SFTConfig.

    Args:
        config: The section `distill`.
        folder: Where the trainer may write on its own machine.
        num_steps: Of the whole training.
        save_every: Steps between checkpoints.
    """
    at_once, times = worker_batch(config)
    on_gpu = config.workers.num_gpus > 0
    return {
        "report_to": [],
        "dataloader_pin_memory": on_gpu,
        **{key: value for key, value in config.trainer.items() if key != "model_init_kwargs"},
        "output_dir": folder,
        "num_train_epochs": 1,  # the list of examples holds all epochs
        "train_sampling_strategy": "sequential",
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": True,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": times,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": ceil(config.warmup_ratio * num_steps),
        "weight_decay": config.weight_decay,
        "max_length": config.max_length if config.packing else None,
        "packing": config.packing,
        "bf16": config.dtype == "bfloat16",
        "gradient_checkpointing": config.gradient_checkpointing,
        "seed": config.seed,
        "data_seed": config.seed,
        "save_strategy": "steps",
        "save_steps": save_every,
        "save_total_limit": 1,
        "logging_strategy": "steps",
        "logging_steps": max(1, num_steps // NUM_POINTS),
        "disable_tqdm": True,
        "use_cpu": not on_gpu,
    }
