"""The section of a config that says how one model is hosted: engine, precision, pool.

Everything here is validated before Ray starts; `rdpt_ray.config` puts it together with the rest of a job.
"""

import re
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Engine = Literal["transformers", "vllm", "openai", "precomputed"]
Signal = Literal["rank", "brier", "unprompted"]
"""What a model measures beside log-probabilities; unprompted: every response once more without its prompt."""
EnvelopeName = Literal[
    "auto",
    "none",
    "think",
    "glm4",
    "nemotron3_nano",
    "nemotron3_ultra",
    "lfm2_5",
    "gemma4",
    "gpt_oss",
    "muse_glimmer",
]


class Section(BaseModel):
    """A part of the config: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Left alone, pydantic reads `limit: true` as 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {int, float} & {annotation, *get_args(annotation)}:
            raise PydanticCustomError("number_type", "Input should be a number")
        return value


class PoolConfig(Section):
    """The Ray actors that host one model (docs/pools.md)."""

    min_actors: int = Field(default=1, ge=1)
    """Wait for nodes rather than work with fewer."""
    max_actors: int | None = Field(default=None, ge=1)
    """None: as many as there is room for, at most 64; on a cluster that grows, the pool grows with it."""
    num_cpus: float = Field(default=1, ge=1e-4)
    """CPUs that one actor takes."""
    num_gpus: float = Field(default=0, ge=0)
    """GPUs that one actor takes: a whole number, or a share of one for a small model."""
    num_threads: int | None = Field(default=None, ge=1)
    """Compute threads of one actor. None: its CPUs, rounded down, at least 1."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory that one actor takes, in 10^9 bytes, so that Ray puts no more on a node than it holds."""
    accelerator_type: str | None = None
    """Place actors only on nodes with this accelerator, for example H100."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Place actors only on nodes with these Ray labels: a value, !value, in(a,b) or !in(a,b)."""
    pass_limit_s: float = Field(default=1800, gt=0)
    """How long one forward pass may take before its actor counts as hung and is started anew."""
    load_limit_s: float = Field(default=7200, gt=0)
    """The same for loading the model."""

    @model_validator(mode="after")
    def _some_size_fits(self) -> Self:
        if self.max_actors is not None and self.max_actors < self.min_actors:
            raise PydanticCustomError("pool_size", "max_actors is less than min_actors")
        if self.num_gpus > 1 and self.num_gpus % 1:
            raise PydanticCustomError(
                "gpu_share",
                "num_gpus above 1 must be a whole number: only one GPU can be shared out",
            )
        return self

    @field_validator("labels")
    @classmethod
    def _selectors_that_ray_reads(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, value in labels.items():
            if not re.fullmatch(r"!?(in\([\w.-]+(, ?[\w.-]+)*\)|[\w.-]+)", value, re.ASCII):
                raise PydanticCustomError(
                    "label_selector",
                    "expected value, !value, in(a,b) or !in(a,b) for the label {key}",
                    {"key": key},
                )
        return labels


class EndpointConfig(Section):
    """A server with an OpenAI-compatible completions endpoint (docs/engines.md)."""

    url: str
    """Where the API starts, for example http://gpu-7:8000/v1."""
    model: str | None = None
    """The name under which the server has the model; None: the same as `model` beside `endpoint`."""
    api_key_env: str | None = None
    """Environment variable that holds the key, in the job and in every worker; None: no key is sent."""
    dialect: Literal["auto", "vllm", "echo"] = "auto"
    """How to ask for the prompt's log-probabilities; auto tries both when a worker starts."""
    concurrency: int = Field(default=16, ge=1, le=1024)
    """Requests in flight from one actor."""
    max_retries: int = Field(default=8, ge=0)
    """More attempts after a request that a busy or failing server refused."""
    retry_base_s: float = Field(default=1, gt=0, le=60)
    """The wait before the first of them; it doubles, with jitter, up to a minute."""
    timeout_s: float = Field(default=600, gt=0)
    """How long one request may take."""
    context_length: int | None = Field(default=None, ge=2)
    """Longest sequence the server takes, in tokens; None: what its /models says, if it says it."""

    @field_validator("url")
    @classmethod
    def _address_without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise PydanticCustomError(
                "url_secret",
                "expected no login and no ?query; a key goes into endpoint.api_key_env",
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PydanticCustomError("url", "expected http://HOST:PORT/v1 or https://")
        return url.rstrip("/")


class VllmConfig(Section):
    """How vLLM hosts a model; `token_budget` is its `max_num_batched_tokens`."""

    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share every layer."""
    pipeline_parallel_size: int = Field(default=1, ge=1)
    """Groups of them that share out the layers."""
    max_model_len: int | None = Field(default=None, ge=2)
    """Longest sequence, in tokens; None: the model's own context length."""
    gpu_memory_utilization: float = Field(default=0.8, gt=0, lt=1)
    """Part of the memory vLLM plans with. The logits of prompt tokens come on top, unseen by its planning:
    token_budget x vocabulary x 6 bytes (7.5 GB for 8192 x 152k)."""
    enforce_eager: bool = False
    """Start faster and run slower: nothing is compiled."""

    @property
    def num_gpus(self) -> int:
        """GPUs of one copy of the model."""
        return self.tensor_parallel_size * self.pipeline_parallel_size


SIGNALS_GIVEN: dict[Engine, set[Signal]] = {
    "transformers": {"rank", "brier", "unprompted"},
    "vllm": {"rank", "unprompted"},
    "openai": {"rank", "unprompted"},
    "precomputed": set(),
}
"""What each engine can measure beside log-probabilities."""


def signals_given(engine: Engine, dialect: str | None) -> set[Signal]:
    """What a model can measure, by its engine and the dialect of its server."""
    return {"unprompted"} if dialect == "echo" else SIGNALS_GIVEN[engine]


class RecordedConfig(Section):
    """Log-probabilities that were recorded when the traces were sampled (docs/engines.md)."""

    path: str | list[str]
    """A file, a folder, a glob, or a list of them; Parquet or JSONL, local or any fsspec URI."""
    id_column: str = "sample_uuid"
    tokens_column: str = "token_ids"
    logprobs_column: str = "logprobs"
    join: str | None = None
    """The key of a trace's metadata that holds its record's id, or trace_id. None: as `id_column`."""

    @property
    def join_key(self) -> str:
        """The key, however it is given."""
        return self.join or self.id_column


class EnvelopeConfig(Section):
    """Markup around reasoning and answer, written out (docs/templates.md)."""

    think_open: str
    """Between the generation prompt and the reasoning."""
    think_close: str
    """Between the reasoning and the answer."""
    answer_open: str | None = None
    """Between the generation prompt and an answer without reasoning; None: opener and close."""


EnvelopeChoice = Annotated[
    Annotated[EnvelopeName, Tag("name")] | Annotated[EnvelopeConfig, Tag("mapping")],
    Discriminator(lambda value: "mapping" if isinstance(value, dict | EnvelopeConfig) else "name"),
]
"""Told apart first, or a fault in one would be reported as a fault in both."""


class ModelConfig(Section):
    """A model that scores, and how."""

    model: str
    """A local folder, or a Hub id such as Qwen/Qwen3-4B."""
    revision: str | None = None
    """Commit of a Hub model; pin it, or the newest is resolved when the run starts and recorded."""
    engine: Engine = "transformers"
    """What hosts it (docs/engines.md)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    chat_template: str | None = None
    """A Jinja file that replaces the tokenizer's own template; needed by base models without one."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Passed to the chat template, for example {enable_thinking: false}."""
    envelope: EnvelopeChoice = "auto"
    """The markup the model reads around reasoning and answer, unscored (docs/templates.md): what its chat
    template shows (auto), none, a family's, or {think_open: ..., think_close: ...}."""
    token_budget: int = Field(default=8192, ge=1)
    """Tokens of one forward pass; bounds the memory. Does not change the scores."""
    pack_weights: bool = True
    """On CPU: copy the weights into the layout that is multiplied fastest (about 10 %). Without, the actors
    of one node share the pages of the weights' file."""
    signals: list[Signal] = Field(default_factory=list)
    """What to measure beside log-probabilities: rank (for the policy rsr), brier (for lark)."""
    keep_token_logprobs: bool = False
    """Keep every token's log-probability and offsets, so that another splitter re-scores nothing."""
    endpoint: EndpointConfig | None = None
    """The server of the engine openai; no other engine has one."""
    vllm: VllmConfig = VllmConfig()
    """For the engine vllm."""
    recorded: RecordedConfig | None = None
    """What the engine precomputed reads in place of a model; no other engine has it."""
    pool: PoolConfig = PoolConfig()

    @model_validator(mode="after")
    def _endpoint_for_its_engine(self) -> Self:
        if (self.endpoint is not None) != (self.engine == "openai"):
            raise PydanticCustomError(
                "endpoint",
                "the engine openai needs an endpoint, with at least its url"
                if self.endpoint is None
                else "an endpoint is for the engine openai only; set engine: openai or remove it",
            )
        return self

    @model_validator(mode="after")
    def _records_for_precomputed(self) -> Self:
        if (self.recorded is not None) != (self.engine == "precomputed"):
            raise PydanticCustomError(
                "recorded",
                "the engine precomputed needs `recorded`, with at least its path"
                if self.recorded is None
                else "`recorded` is for the engine precomputed only; set engine: precomputed or remove it",
            )
        return self

    @model_validator(mode="after")
    def _signals_the_engine_gives(self) -> Self:
        dialect = self.endpoint.dialect if self.endpoint else None
        given = signals_given(self.engine, dialect)
        missing = ", ".join(sorted(set(self.signals) - given))
        if missing:
            how = f"engine {self.engine}" + (f", dialect {dialect}" if dialect == "echo" else "")
            raise PydanticCustomError(
                "signals",
                "{how} cannot measure {missing}; engine transformers measures rank and brier",
                {"how": how, "missing": missing},
            )
        return self

    @model_validator(mode="after")
    def _gpus_for_every_shard(self) -> Self:
        needed, asked = self.vllm.num_gpus, self.pool.num_gpus
        if self.engine == "vllm" and needed > 1 and asked != needed:
            raise PydanticCustomError(
                "vllm_gpus",
                "vllm.tensor_parallel_size x vllm.pipeline_parallel_size is {needed} GPUs for each copy of"
                " the model, but pool.num_gpus gives an actor {asked}: set pool.num_gpus: {needed} (all on"
                " one node)",
                {"needed": needed, "asked": f"{asked:g}"},
            )
        return self
