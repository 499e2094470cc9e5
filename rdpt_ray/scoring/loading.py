"""From a configured model to something that scores: one branch per engine."""

from rdpt_ray.config import ModelConfig
from rdpt_ray.scoring.encoding import TraceEncoder, load_encoder
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.scorer import ModelScorer, Scorer


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
    encoder = encoder_of(identity)
    from rdpt_ray.scoring.transformers_engine import load_engine

    engine = load_engine(model, identity, num_threads=num_threads)
    return ModelScorer(encoder, engine, model.token_budget)


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
    )
