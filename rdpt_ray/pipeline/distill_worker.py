"""What runs on a Ray Train worker: TRL's SFTTrainer over the examples, from the last checkpoint on.

Heavy libraries are imported inside, where they are needed: the driver does not need them.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.train import Checkpoint, get_context, report
from ray.train.collective import barrier, broadcast_from_rank_zero

from rdpt_ray.distill_config import DistillConfig
from rdpt_ray.errors import ModelError, RdptError
from rdpt_ray.pipeline.distill_checkpoints import (
    COMPLETE,
    as_checkpoint,
    checkpoint_name,
    newest,
)
from rdpt_ray.pipeline.distill_order import IGNORED, order_of
from rdpt_ray.pipeline.distill_settings import sft_arguments, threads_of
from rdpt_ray.pipeline.distill_steps import POLL_S, Progress
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.storage.files import Root

MODEL_FILES = {".safetensors", ".json", ".jinja", ".model", ".txt"}
"""What is taken over into the model's folder: nothing pickled."""

SHARD = "2GB"
"""Largest file of weights; one is in memory while it is written."""


@dataclass(frozen=True, slots=True)
class Training:
    """One training, as its workers are given it."""

    name: str
    config: DistillConfig
    student: ModelIdentity
    end: int
    """Id of the token that ends a turn."""
    table: Any
    """Reference to the examples, schema EXAMPLES."""
    checkpoints: Root
    model: Root
    """Where the finished model goes."""
    steps: Any
    """The actor that is told how far it is."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the first worker returns."""

    num_steps: int = 0
    num_learnt: int = 0
    """Tokens that were learnt, each as often as it was."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Step, and the mean loss since the point before."""
    resumed_from: int | None = None
    seconds: float = 0.0
    error: RdptError | None = None
    """What is wrong with the model or the settings; another start would meet it again."""


def train_on_worker(told: dict[str, Any]) -> Trained:
    """The function that Ray Train runs on every worker."""
    try:
        return _train(told["training"])
    except RdptError as error:
        return Trained(error=error)


def _train(training: Training) -> Trained:
    import torch
    from transformers.utils import logging
    from trl.trainer.sft_config import SFTConfig

    begun = time.monotonic()
    config = training.config
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads_of(config.workers))
    if get_context().get_world_size() == 1:
        _not_distributed()
    rows, num_learnt = _in_order(ray.get(training.table), config)
    num_steps = -(-len(rows) // config.batch_size)
    save_every = config.save_every or max(1, round(num_steps / config.epochs))
    with TemporaryDirectory() as folder:
        settings = sft_arguments(config, folder, num_steps=num_steps, save_every=save_every)
        try:
            trainer = _trainer(training, SFTConfig(**settings), rows)
        except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
            raise ModelError(
                f"{training.student.model}: TRL cannot train it with these settings: {error}"
            ) from error
        resumed_from = _run(trainer, training)
        _learn_to_stop(trainer, training)
        _write_model(trainer, training)
    history = trainer.state.log_history
    return Trained(
        num_steps=trainer.state.global_step,
        num_learnt=num_learnt,
        losses=[(each["step"], each["loss"]) for each in history if "loss" in each],
        resumed_from=resumed_from,
        seconds=time.monotonic() - begun,
    )


def _not_distributed() -> None:
    """A single worker needs no copy of its gradients: without these, no one wraps its model."""
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)


def _in_order(table: pa.Table, config: DistillConfig) -> tuple[Any, int]:
    """The examples of all epochs, one behind the other, and how many of their tokens are learnt."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    examples = Dataset(pa.table(table))
    if config.packing:
        examples = pack_dataset(examples, config.max_length, "bfd").with_format(None)
    labels = examples.data.column("labels").combine_chunks()
    ends = labels.offsets.to_numpy()
    learnt = np.concatenate([[0], np.cumsum(labels.values.to_numpy() != IGNORED)])
    order = order_of(
        np.diff(ends), epochs=config.epochs, batch_size=config.batch_size, seed=config.seed
    )
    return examples.select(order), int(np.diff(learnt[ends])[order].sum())


def _trainer(training: Training, arguments: Any, rows: Any) -> Any:
    from transformers import AutoTokenizer
    from trl.trainer.sft_trainer import SFTTrainer

    config, student = training.config, training.student
    arguments.model_init_kwargs = {
        "revision": student.revision,
        "dtype": "float32",
        "device_map": None,
        "use_safetensors": True,
        **config.trainer.get("model_init_kwargs", {}),
        "trust_remote_code": False,
    }
    return SFTTrainer(
        student.location,
        arguments,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(
            student.location, revision=student.revision, trust_remote_code=False
        ),
        peft_config=_adapters(config),
    )


def _adapters(config: DistillConfig) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    lora = config.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _run(trainer: Any, training: Training) -> int | None:
    """Train to the end; returns the step that was continued from."""
    from transformers import PrinterCallback

    # The first worker decides for all, or they might see different ones.
    found, start = broadcast_from_rank_zero((newest(training.checkpoints), token_hex(4)))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_reporting(training, start))
    if found is None:
        trainer.train()
        return None
    with as_checkpoint(training.checkpoints, found).as_directory() as folder:
        trainer.train(resume_from_checkpoint=folder)
        state = json.loads(Path(folder, "trainer_state.json").read_text(encoding="utf-8"))
        return int(state["global_step"])


def _reporting(training: Training, start: str) -> Any:
    """Hands checkpoints to Ray Train, and says how far the training is."""
    from transformers import TrainerCallback

    context = get_context()
    is_first = context.get_world_rank() == 0

    class Reporting(TrainerCallback):
        said_at = 0.0
        loss: float | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._say(state)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self.loss = (logs or {}).get("loss", self.loss)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if time.monotonic() - self.said_at > POLL_S:
                self._say(state)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._say(state)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            name = checkpoint_name(state.global_step, start)
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            report(
                {"step": state.global_step, "loss": self.loss},
                Checkpoint.from_directory(folder),
                checkpoint_dir_name=name,
                delete_local_checkpoint_after_upload=True,
            )
            barrier()  # every worker has uploaded its files: `report` waits for this one's alone
            if is_first:
                training.checkpoints.write_bytes(f"{name}/{COMPLETE}", b"{}\n")

        def _say(self, state: Any) -> None:
            if is_first:
                self.said_at = time.monotonic()
                said = Progress(state.global_step, state.max_steps, self.loss)
                training.steps.say.remote(training.name, said)

    return Reporting()


def _learn_to_stop(trainer: Any, training: Training) -> None:
    """Whoever samples from the model looks into its generation config for the tokens that end it."""
    generation = trainer.accelerator.unwrap_model(trainer.model).generation_config
    ends = generation.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if training.end not in ends:
        generation.eos_token_id = [training.end, *ends] if ends else training.end


def _write_model(trainer: Any, training: Training) -> None:
    """The weights with all that belongs to them, as files of the model's folder."""
    from transformers import AutoTokenizer

    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if get_context().get_world_rank() != 0:
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    if training.config.lora is not None:
        model, weights = model.merge_and_unload(), None
    student = training.student
    tokenizer = AutoTokenizer.from_pretrained(
        student.location, revision=student.revision, trust_remote_code=False
    )
    if student.chat_template is not None:
        tokenizer.chat_template = student.chat_template
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder, state_dict=weights, max_shard_size=SHARD)
        tokenizer.save_pretrained(folder)
        _copy(sorted(Path(folder).iterdir()), training.model)


def _copy(files: Iterable[Path], to: Root) -> None:
    for file in files:
        if file.suffix in MODEL_FILES:
            to.write_bytes(file.name, file.read_bytes())
