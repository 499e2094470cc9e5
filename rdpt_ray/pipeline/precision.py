"""How many sentences change class because a model computed in half precision.

A model in bfloat16 gives other log-probabilities than in float32, and a sentence near the threshold then
changes sides. How often is measured, not guessed: a few traces of the run are scored once more in float32
by every model that ran in less, and classified both ways. They lie in the store as a small dataset of
their own, so the same check is never paid twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from ray.exceptions import RayError
from rich.console import Console

from rdpt_ray.config import Role, ThresholdsConfig
from rdpt_ray.errors import RdptError
from rdpt_ray.method.provenance import classify_codes, sentence_prob
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.lineage import Identities
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.publish.facts import PrecisionFacts
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder, write_part
from rdpt_ray.storage.scores import read_scores, scored_parts

REFERENCE = "float32"

Scores = dict[Role, list[dict[str, Any]]]
"""The sample: role -> its rows of scores, trace by trace."""

Row = dict[Role, dict[str, Any]]
"""One trace: role -> its row of scores."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the check needs to know."""

    store: Root
    dataset: str
    models: Mapping[Role, ModelConfig]
    identities: Identities
    thresholds: ThresholdsConfig
    splitter: str
    num_traces: int
    """How many traces to score once more."""


def half_roles(models: Mapping[Role, ModelConfig]) -> list[Role]:
    """The roles whose models compute here, and in less than float32."""
    return [
        role
        for role, model in models.items()
        if model.engine in ("transformers", "vllm") and model.dtype != REFERENCE
    ]


def check_precision(parts: list[Part], check: Check, console: Console) -> PrecisionFacts | None:
    """Score a sample in float32 and count the sentences whose class differs.

    Args:
        parts: The run's parts, scored by every role.
        check: How.
        console: Where a failure is told.

    Returns:
        What was found, or why nothing was; None if every model ran in float32 or no check is asked for.
    """
    half = half_roles(check.models)
    if not half or not check.num_traces or not parts:
        return None
    try:
        return _measure(parts, check, half)
    except (RdptError, RayError) as error:
        # A float32 copy may not fit where the model itself does. That costs the figure, not the run.
        why = str(error).strip().splitlines()[-1][:200]
        console.print(f"precision: not measured: {why}", highlight=False, markup=False)
        return PrecisionFacts(roles=tuple(half), traces=0, sentences=0, flipped=0, why=why)


def _measure(parts: list[Part], check: Check, half: list[Role]) -> PrecisionFacts:
    whole, part = _whole(parts, check)
    sample = whole.slice(0, check.num_traces)
    part_ids = whole.column("trace_id").to_pylist()
    dataset = f"{check.dataset}.precision"
    key = write_part(check.store, bucket_folder(dataset, 0), sample, check.splitter)
    trace_ids = sample.column("trace_id").to_pylist()
    as_run: Scores = {
        role: read_scores(check.store, identity.key, part.key, part_ids)[: len(trace_ids)]
        for role, identity in check.identities.items()
    }
    exact: Scores = dict(as_run)
    for role in half:
        identity = replace(check.identities[role], dtype=REFERENCE)
        if key not in scored_parts(check.store, identity.key):
            model = check.models[role].model_copy(
                update={"dtype": REFERENCE, "keep_token_logprobs": False}
            )
            list(
                score(
                    [Part(0, key, len(trace_ids))],
                    store=check.store,
                    dataset=dataset,
                    model=model,
                    identity=identity,
                )
            )
        exact[role] = read_scores(check.store, identity.key, key, trace_ids)
    return _compared(as_run, exact, tuple(half), check.thresholds)


def _whole(parts: list[Part], check: Check) -> tuple[pa.Table, Part]:
    """The first part: its key is a hash, so its first traces are as good as a draw, and repeat."""
    part = min(parts, key=lambda part: part.key)
    name = f"{bucket_folder(check.dataset, part.bucket)}/{part.key}.parquet"
    return check.store.read_table(name), part


def _compared(
    as_run: Scores,
    exact: Scores,
    roles: tuple[Role, ...],
    thresholds: ThresholdsConfig,
) -> PrecisionFacts:
    num_traces = num_sentences = flipped = 0
    largest = 0.0
    for index in range(len(next(iter(as_run.values())))):
        one: Row = {role: rows[index] for role, rows in as_run.items()}
        other: Row = {role: rows[index] for role, rows in exact.items()}
        if any(row["error"] is not None for row in (*one.values(), *other.values())):
            continue
        probs, exact_probs = _probs(one), _probs(other)
        changed = _classes(probs, thresholds) != _classes(exact_probs, thresholds)
        num_traces += 1
        num_sentences += len(changed)
        flipped += int(np.count_nonzero(changed))
        differences = [np.abs(probs[role] - exact_probs[role]) for role in roles]
        largest = max(largest, float(np.nanmax(np.concatenate(differences), initial=0.0)))
    return PrecisionFacts(roles, num_traces, num_sentences, flipped, largest)


def _probs(rows: Row) -> dict[Role, Any]:
    return {
        role: sentence_prob(
            np.array(row["sum_logprob"], dtype=np.float64), np.array(row["num_tokens"])
        )
        for role, row in rows.items()
    }


def _classes(probs: Mapping[Role, Any], thresholds: ThresholdsConfig) -> Any:
    return classify_codes(
        probs["teacher"],
        probs["student"],
        probs.get("distilled"),
        alpha=thresholds.alpha,
        beta=thresholds.beta,
    )
