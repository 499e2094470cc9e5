"""How many sentences change class because a model computed in half precision.

A model in bfloat16 gives other log-probabilities than in float32, and a sentence near the threshold then
changes sides. How often is measured, not guessed: a few traces of the run are scored once more in float32
by every model that ran in less, and classified both ways. They lie in the store as a small dataset of
their own, so the same check is never paid twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from ray.exceptions import RayError
from rich.console import Console

from rdpt_ray.config import Role, ThresholdsConfig
from rdpt_ray.errors import RdptError
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify_codes, sentence_prob
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.cluster import error_within
from rdpt_ray.pipeline.lineage import Identities
from rdpt_ray.pipeline.roles import TEACHER, UNPROMPTED, is_teacher
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.pipeline.score_rows import role_scores, sentence_chars
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
    session: str
    """The file of the session that this is done for."""


def half_roles(models: Mapping[Role, ModelConfig]) -> list[Role]:
    """The roles whose models compute here, and in less than float32."""
    return [
        role
        for role, model in models.items()
        if role != UNPROMPTED
        and model.engine in ("transformers", "vllm")
        and model.dtype != REFERENCE
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
        ours = error_within(error) if isinstance(error, RayError) else error
        why = str(ours or error).strip().splitlines()[0 if ours else -1][:200]
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
    as_run.pop(UNPROMPTED, None)
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
                    session=check.session,
                    role="precision",
                )
            )
        exact[role] = read_scores(check.store, identity.key, key, trace_ids)
    chars = [sentence_chars(spans) for spans in sample.column("sentences").to_pylist()]
    return _compared(as_run, exact, chars, tuple(half), check.thresholds)


def _whole(parts: list[Part], check: Check) -> tuple[pa.Table, Part]:
    """The first part: its key is a hash, so its first traces are as good as a draw, and repeat."""
    part = min(parts, key=lambda part: part.key)
    name = f"{bucket_folder(check.dataset, part.bucket)}/{part.key}.parquet"
    return check.store.read_table(name), part


def _compared(
    as_run: Scores,
    exact: Scores,
    chars: list[NDArray[np.int64]],
    roles: tuple[Role, ...],
    thresholds: ThresholdsConfig,
) -> PrecisionFacts:
    num_traces = num_sentences = flipped = 0
    largest = 0.0
    for index, lengths in enumerate(chars):
        readers = [role for role, rows in as_run.items() if rows[index]["error"] is None]
        one, other = ({role: rows[role][index] for role in readers} for rows in (as_run, exact))
        if not _complete(one, as_run) or any(row["error"] is not None for row in other.values()):
            continue
        changed = _classes(one, lengths, thresholds) != _classes(other, lengths, thresholds)
        num_traces += 1
        num_sentences += len(changed)
        flipped += int(np.count_nonzero(changed))
        differences = [
            np.abs(_probs(one[role]) - _probs(other[role])) for role in roles if role in one
        ]
        largest = max(largest, float(np.nanmax(np.concatenate(differences), initial=0.0)))
    return PrecisionFacts(roles, num_traces, num_sentences, flipped, largest)


def _complete(rows: Row, roles: Collection[Role]) -> bool:
    """Whether one teacher, and every other role, has read the trace."""
    others = {role for role in roles if not is_teacher(role)}
    return others <= rows.keys() and sum(map(is_teacher, rows)) == 1


def _probs(row: dict[str, Any]) -> NDArray[np.float64]:
    scores = role_scores(row)
    return sentence_prob(scores.sums, scores.tokens)


def _classes(rows: Row, chars: NDArray[np.int64], thresholds: ThresholdsConfig) -> NDArray[np.int8]:
    divergence = DIVERGENCES[thresholds.divergence]
    values = {
        TEACHER if is_teacher(role) else role: divergence.values(scores.sums, scores.tokens, chars)
        for role, scores in ((role, role_scores(row)) for role, row in rows.items())
    }
    return classify_codes(
        values[TEACHER],
        values["student"],
        values.get("distilled"),
        alpha=thresholds.alpha,
        beta=float(thresholds.beta),
    )
