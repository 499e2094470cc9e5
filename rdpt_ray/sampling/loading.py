"""From a configured model to something that samples; and what decides what it samples."""

import hashlib
from typing import Any, Literal

from rdpt_ray.errors import ConfigError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.sampler import ModelSampler
from rdpt_ray.sampling.written import end_ids
from rdpt_ray.scoring.allocator import keep_freed_pages
from rdpt_ray.scoring.identity import ModelIdentity, identify
from rdpt_ray.scoring.loading import encoder_of
from rdpt_ray.storage.runs import canonical_json

SamplingEngineName = Literal["transformers", "vllm"]

SEMANTICS: dict[SamplingEngineName, str] = {
    "transformers": "sample-transformers/1",
    "vllm": "sample-vllm/1",
}
"""Part of the sampling key: raise an engine's number when the same seed would draw otherwise by it."""


def engine_of(model: ModelConfig, sampling: SamplingConfig, where: str) -> SamplingEngineName:
    """What hosts a model while it is sampled.

    Args:
        model: As configured.
        sampling: May name another engine than the one that scores.
        where: The model's place in the config, for the error.

    Raises:
        ConfigError: if that engine cannot sample.
    """
    engine = sampling.engine or model.engine
    if engine != "transformers" and engine != "vllm":
        raise ConfigError(
            f"{where}: the engine {engine} does not sample; set `engine` in the section that samples to"
            " transformers or vllm"
        )
    return engine


def sampler_identity(model: ModelConfig, engine: SamplingEngineName) -> ModelIdentity:
    """Pin a configured model to all of its content that decides what it writes.

    Raises:
        ModelError: see `identify`.
    """
    return identify(
        model.model,
        model.revision,
        dtype=model.dtype,
        engine=SEMANTICS[engine],
        chat_template=model.chat_template,
        chat_template_kwargs=model.chat_template_kwargs,
    )


def sampling_settings(identity: ModelIdentity, sampling: SamplingConfig) -> dict[str, Any]:
    """What decides a response beside its prompt and number; not where, by whom and how many at a time."""
    return {
        "model_key": identity.key,
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
    }


def sampling_key(settings: dict[str, Any]) -> str:
    """Hash of `sampling_settings`."""
    return hashlib.sha256(f"sample/1\0{canonical_json(settings)}".encode()).hexdigest()[:32]


def sample_uuid(key: str, prompt_id: str, candidate: int) -> str:
    """Names one response of all there ever are."""
    return hashlib.sha256(f"{key}\0{prompt_id}\0{candidate}".encode()).hexdigest()[:32]


def load_sampler(
    model: ModelConfig,
    identity: ModelIdentity,
    *,
    engine: SamplingEngineName,
    sampling: SamplingConfig,
    num_threads: int,
) -> ModelSampler:
    """Load whatever a model needs to write; called once in every actor of its pool.

    Args:
        model: As configured.
        identity: The model pinned down.
        engine: From `engine_of`.
        sampling: How to draw.
        num_threads: Compute threads of this actor.

    Raises:
        ModelError: if it cannot be loaded, naming it and what to change.
    """
    encoder = encoder_of(identity)
    ends = end_ids(identity, encoder)
    if engine == "vllm":
        from rdpt_ray.sampling.vllm_engine import load_vllm

        drawing = load_vllm(model, identity, sampling, ends, num_threads=num_threads)
        return ModelSampler(encoder, drawing, sampling)
    from rdpt_ray.sampling.transformers_engine import TransformersSampler
    from rdpt_ray.scoring.weights import load_model

    keep_freed_pages()
    loaded = load_model(identity.location, identity.revision, model.dtype, model.pool.num_gpus)
    return ModelSampler(
        encoder, TransformersSampler(loaded, sampling, ends, num_threads=num_threads), sampling
    )
