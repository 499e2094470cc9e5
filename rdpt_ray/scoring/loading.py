"""From a configured model to something that scores: one branch per engine."""

import sys
from dataclasses import replace

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import Engine, ModelConfig
from rdpt_ray.scoring.encoding import TraceEncoder, load_encoder
from rdpt_ray.scoring.envelope_probe import probe_envelope
from rdpt_ray.scoring.envelopes import NONE, configured_envelope
from rdpt_ray.scoring.identity import ModelIdentity, identify
from rdpt_ray.scoring.scorer import ModelScorer, Scorer

SEMANTICS: dict[Engine, str] = {
    "transformers": "transformers/2",
    "vllm": "vllm/1",
    "openai": "openai/1",
    "precomputed": "precomputed/1",
}
"""Part of the model key: raise an engine's number when the same model would get other numbers by it."""

WHOLE_PART = sys.maxsize
"""Token budget where somebody else makes the batches: everything at once, to keep them busy."""


def load_scorer(model: ModelConfig, identity: ModelIdentity, *, num_threads: int) -> Scorer:
    """Load whatever a model needs to score; called once in every actor of its pool.

    An engine's own packages are imported here, in the actor, so that nobody needs those of the others.

    Args:
        model: As configured.
        identity: The model pinned down.
        num_threads: Compute threads of this actor.

    Raises:
        ModelError: if it cannot be loaded, naming it and what to change.
    """
    if model.recorded is not None:
        raise ModelError(
            f"model {model.model}: the engine precomputed scores with `scoring.recorded.load_recorded`,"
            " which needs to be told where the records are"
        )
    encoder = encoder_of(identity)
    served = served_name(model)
    if served is not None:
        from rdpt_ray.scoring.openai_engine import connect

        return ModelScorer(encoder, connect(model, served, encoder), WHOLE_PART)
    if model.engine == "vllm":
        from rdpt_ray.scoring.vllm_engine import load_vllm

        return ModelScorer(encoder, load_vllm(model, identity, num_threads=num_threads), WHOLE_PART)
    from rdpt_ray.scoring.transformers_engine import load_engine

    engine = load_engine(model, identity, num_threads=num_threads)
    return ModelScorer(encoder, engine, model.token_budget)


def identity_of(model: ModelConfig, *, recorded: str | None = None) -> ModelIdentity:
    """Pin a configured model to its content.

    Args:
        model: As configured.
        recorded: What stands for weights where log-probabilities were recorded.

    Raises:
        ModelError: see `identify`; or there is no usable tokenizer, whose template says what the
            envelope is.
    """
    envelope = configured_envelope(model.envelope)
    identity = identify(
        model.model,
        model.revision,
        dtype=model.dtype,
        engine=SEMANTICS[model.engine],
        chat_template=model.chat_template,
        chat_template_kwargs=model.chat_template_kwargs,
        signals=model.signals,
        served=recorded or served_name(model),
        envelope=envelope or NONE,
    )
    if model.recorded is not None:  # no prompt is read, so nothing is put after it
        return replace(identity, envelope=NONE)
    if envelope is None:
        return replace(identity, envelope=probe_envelope(encoder_of(identity).render))
    return identity


def served_name(model: ModelConfig) -> str | None:
    """The model's name on the server that scores; None if its weights are loaded here."""
    return model.endpoint and (model.endpoint.model or model.model)


def encoder_of(identity: ModelIdentity) -> TraceEncoder:
    """The tokenizer and template of a pinned model.

    Raises:
        ModelError: if there is no usable tokenizer, naming the model.
    """
    return load_encoder(
        identity.location,
        identity.revision,
        identity.chat_template,
        identity.chat_template_kwargs,
        identity.envelope,
        reads_prompt=identity.reads_prompt,
    )
