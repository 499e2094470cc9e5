"""The sections of a config that say how a student is trained: `distill`, and `loop` for many of them.

`rdpt_ray.config` puts them together with the rest of a job.
"""

from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rdpt_ray.method.paired import MAX_SEEDS
from rdpt_ray.method.selection import policy_named
from rdpt_ray.model_config import Section
from rdpt_ray.selection_config import known_name

SECRETS = {"token", "hub_token", "push_to_hub_token", "use_auth_token"}


class LoraConfig(Section):
    """Train low-rank adapters, which are merged into the weights at the end."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


class WorkersConfig(Section):
    """The Ray workers that train one model together."""

    num_workers: int = Field(default=1, ge=1)
    """Each has a copy of the model and a share of every step's examples."""
    num_cpus: float = Field(default=1, gt=0)
    num_gpus: int = Field(default=0, ge=0)
    num_threads: int | None = Field(default=None, ge=1)
    """Compute threads of one worker. None: its CPUs, rounded down, at least 1."""
    accelerator_type: str | None = None
    """Place workers only on nodes with this accelerator, for example H100."""
    max_failures: int = Field(default=3, ge=0)
    """Starts after a lost worker, each from the last checkpoint."""


class DistillConfig(Section):
    """`rdpt distill`: supervised fine-tuning of `models.student` on selected traces."""

    to: str = Field(min_length=1)
    """URI of the folder of the distilled model."""
    data: str | None = Field(default=None, min_length=1)
    """A finished run's folder, or a dataset that `rdpt publish` wrote. None: what `rdpt curate` selected
    with the same config."""
    epochs: float = Field(default=3, gt=0)
    learning_rate: float = Field(default=1e-5, gt=0)
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    """Examples per step, over all workers; with packing, rows of `max_length` tokens."""
    worker_batch_size: int | None = Field(default=None, ge=1)
    """Examples that one worker takes at once; the rest of a step is accumulated. None: all of its share."""
    max_length: int = Field(default=32768, ge=2)
    """Tokens; a longer example is left out, counted and told."""
    packing: bool = False
    """Fill rows of `max_length` tokens with several examples, which do not see each other."""
    lora: LoraConfig | None = None
    """None: all weights are trained."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the arithmetic; the weights that are trained stay float32."""
    gradient_checkpointing: bool = False
    """Compute activations twice rather than keep them."""
    save_every: int | None = Field(default=None, ge=1)
    """Steps between checkpoints. None: at the end of each epoch."""
    seed: int = Field(default=0, ge=0)
    workers: WorkersConfig = WorkersConfig()
    trainer: dict[str, Any] = Field(default_factory=dict)
    """More arguments of TRL's SFTConfig, by their own names; no secrets, since they are written down."""

    @field_validator("trainer")
    @classmethod
    def _without_secrets(cls, trainer: dict[str, Any]) -> dict[str, Any]:
        if keys := sorted(_secrets_in(trainer)):
            raise PydanticCustomError(
                "secret",
                "expected no {keys}: the config is written into manifests and cards; log in with"
                " `hf auth login`, or set HF_TOKEN",
                {"keys": ", ".join(keys)},
            )
        return trainer


class LoopConfig(Section):
    """`rdpt loop`: one student distilled per policy and seed, evaluated, and compared."""

    to: str = Field(min_length=1)
    """URI of the folder for models, responses and the report."""
    policies: list[str] = Field(min_length=2)
    """The first is compared with each of the others, seed by seed."""
    num_seeds: int = Field(default=5, ge=2, le=MAX_SEEDS)
    """Trainings per policy."""
    budget_tokens: int | None = Field(default=None, ge=1)
    """Response tokens that every policy may select. None: as many as the policy that selects fewest."""
    num_parallel: int = Field(default=1, ge=1)
    """Students that are trained, and then tested, at the same time."""
    num_traced: int = Field(default=1, ge=0)
    """Of each policy, how many students' own responses are traced (four-way provenance)."""
    remarks: list[str] = Field(default_factory=list)
    """What a reader has to know to read the outcome right; shown beside it."""

    @field_validator("policies")
    @classmethod
    def _are_there(cls, policies: list[str]) -> list[str]:
        if twice := sorted({policy for policy in policies if policies.count(policy) > 1}):
            raise PydanticCustomError(
                "twice",
                "expected each policy once; more often: {twice}",
                {"twice": ", ".join(twice)},
            )
        return [known_name("policy", policy, policy_named) for policy in policies]


def _secrets_in(arguments: dict[str, Any]) -> set[str]:
    """Keys, at any depth, under which Hugging Face's libraries take a login."""
    found = SECRETS & arguments.keys()
    for value in arguments.values():
        if isinstance(value, dict):
            found |= _secrets_in(value)
    return found
