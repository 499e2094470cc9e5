"""One model over a run's parts: what the store holds is reused, and the model scores the rest."""

import time
from collections.abc import Sequence

from rich.console import Console

from rdpt_ray.config import Role
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.progress import stage
from rdpt_ray.pipeline.realign import Realignment, realign
from rdpt_ray.pipeline.recorded import Recording, recorded_loader
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.publish.facts import ModelFacts
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.scores import scored_parts
from rdpt_ray.storage.token_scores import parts_with_tokens


def score_role(
    role: Role,
    model: ModelConfig,
    identity: ModelIdentity,
    parts: Sequence[Part],
    *,
    store: Root,
    dataset: str,
    run: str,
    recording: Recording | None,
    console: Console,
) -> ModelFacts:
    """Score what the store lacks under a model.

    Args:
        role: What the model is in this run.
        model: As configured.
        identity: The model pinned down.
        parts: The run's.
        store: Where they lie and scores go.
        dataset: The dataset they belong to.
        run: The run's folder, relative to the store.
        recording: What the model once said, where that is its engine.
        console: Where progress is shown.

    Returns:
        What it came to. `scored` counts the traces given to the model, `reused` all others.
    """
    missing = _unscored(model, identity, parts, store, dataset)
    sizes = {part.key: max(0, part.num_traces - part.num_held) for part in missing}
    num_missing = sum(sizes.values())
    num_tokens, begun = 0, time.monotonic()
    if missing:
        load = load_scorer if recording is None else recorded_loader(recording, store, console)
        with stage(console, f"score {role}", num_missing) as advance:
            for scored in score(
                missing,
                store=store,
                dataset=dataset,
                model=model,
                identity=identity,
                load=load,
                ledger=None if recording is None else f"{run}/rows",
            ):
                num_tokens += scored.num_tokens
                rate = num_tokens / (time.monotonic() - begun)
                advance(sizes[scored.key], f"{rate:,.0f} tokens/s")
    else:
        console.print(f"score {role}: nothing to do, all scores are in the store", highlight=False)
    elapsed = time.monotonic() - begun
    return ModelFacts(
        role=role,
        model=model.model,
        revision=identity.weights,
        dtype=model.dtype,
        scored=num_missing,
        reused=sum(part.num_traces for part in parts) - num_missing,
        tokens=num_tokens,
        tokens_per_s=num_tokens / elapsed if missing else None,
    )


def _unscored(
    model: ModelConfig,
    identity: ModelIdentity,
    parts: Sequence[Part],
    store: Root,
    dataset: str,
) -> list[Part]:
    """The parts that need the model, once those that stored tokens can score are scored."""
    done = scored_parts(store, identity.key)
    kept = parts_with_tokens(store, identity.key, dataset)
    if model.keep_token_logprobs:
        done &= kept
    missing = [part for part in parts if part.key not in done]
    if not missing or not kept:
        return missing
    return realign(missing, Realignment(store, dataset, identity.key, model.keep_token_logprobs))
