"""One model over a run's parts: what the store holds is reused, and the model scores the rest."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from rdpt_ray.config import Role
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.demand import Demand
from rdpt_ray.pipeline.realign import Realignment, realign
from rdpt_ray.pipeline.recorded import Recording, recorded_loader
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.pipeline.session import AtWork
from rdpt_ray.pipeline.undecided import Asked, Undecided, undecided
from rdpt_ray.publish.facts import ModelFacts
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import run_folder
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
    recording: Recording | None,
    demand: Demand | None,
    session: AtWork,
    failed: Callable[[Role, Part], None],
) -> ModelFacts:
    """Score what the store lacks under a model, of what it is asked to read.

    Args:
        role: What the model is in this run.
        model: As configured.
        identity: The model pinned down.
        parts: The run's.
        store: Where they lie and scores go.
        dataset: The dataset they belong to.
        recording: What the model once said, where that is its engine.
        demand: What it is asked to read; None: everything.
        session: For whom this is done.
        failed: Told of every part that holds errors, once it is committed.

    Returns:
        What it came to: `scored` counts the traces that the model read to their end, `pruned` those that it
        need not read, `reused` all others.

    Raises:
        Interrupted: once the parts in hand are committed, if the session was asked to leave.
    """
    begun = time.monotonic()
    work = _unscored(model, identity, parts, store, dataset, demand)
    by_key = {part.key: part for part in work.parts}
    sizes = {part.key: max(0, part.num_traces - part.num_held) for part in work.parts}
    num_tokens = num_scored = 0
    num_pruned = work.num_pruned
    if work.parts:
        load = (
            load_scorer if recording is None else recorded_loader(recording, store, session.console)
        )
        stage = score(
            work.parts,
            store=store,
            dataset=dataset,
            model=model,
            identity=identity,
            session=session.file,
            role=role,
            stalled=session.stall,
            load=load,
            demand=demand,
            ledger=None if recording is None else f"{run_folder(session.record.run)}/rows",
        )
        with (
            session.stage(f"score {role}", sum(sizes.values()), role=role) as advance,
            session.finishing(),
            closing(stage) as results,
        ):
            for scored in results:
                if scored.is_left:
                    continue
                session.count(role, identity.key, scored)
                # Nothing was read here: another process may have committed it, and died before it told.
                if scored.num_errors or not (scored.num_scored or scored.num_pruned):
                    failed(role, by_key[scored.key])
                num_tokens += scored.num_tokens
                # Without a demand a part is scored whole, with traces of other runs; this run's count.
                whole = demand is None
                num_scored += (
                    min(sizes[scored.key], scored.num_scored) if whole else scored.num_scored
                )
                num_pruned += scored.num_pruned if demand is not None else 0
                rate = num_tokens / (time.monotonic() - begun)
                advance(sizes[scored.key], f"{rate:,.0f} tokens/s")
    else:
        session.console.print(
            f"score {role}: nothing to do, all scores are in the store",
            highlight=False,
            markup=False,
        )
    session.done_with(role)
    elapsed = time.monotonic() - begun
    return ModelFacts(
        role=role,
        model=model.model,
        revision=identity.weights,
        dtype=model.dtype,
        scored=num_scored,
        reused=work.num_traces - num_scored - num_pruned,
        pruned=num_pruned,
        tokens=num_tokens,
        tokens_per_s=num_tokens / elapsed if work.parts else None,
    )


def _unscored(
    model: ModelConfig,
    identity: ModelIdentity,
    parts: Sequence[Part],
    store: Root,
    dataset: str,
    demand: Demand | None,
) -> Undecided:
    """What needs the model, once the parts that stored tokens can score are scored."""
    num_traces = sum(part.num_traces for part in parts)
    done = scored_parts(store, identity.key, len(parts))
    kept = parts_with_tokens(store, identity.key, dataset, len(parts))
    if model.keep_token_logprobs:
        done &= kept
    missing = [part for part in parts if part.key not in done]
    if missing and kept:
        missing = realign(
            missing, Realignment(store, dataset, identity.key, model.keep_token_logprobs)
        )
    if demand is None:
        return Undecided(missing, num_traces, 0)
    asked = Asked(store, dataset, identity.key, demand)
    found = undecided(parts, asked)
    files = {part.key: part.token_files for part in missing}
    left = [replace(part, token_files=files.get(part.key, ())) for part in found.parts]
    return replace(found, parts=left)
