"""Parts to one model's scores: a pool of actors, each hosting the model, one part at a time.

An actor commits a part's scores itself, whole, under the model's key, before it reports; so a killed run
loses at most the parts in flight, and a part that is there is never scored again.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.attempts import Attempts, ScoreTraces
from rdpt_ray.pipeline.kept_tokens import keep_tokens, kept_tokens
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.pools import GROW_AT, OVERLAP, num_threads, pool_arguments
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.scoring.scorer import Scorer, SentenceScores, Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import score_name
from rdpt_ray.storage.token_scores import token_name

READ = ["trace_id", "messages", "response", "answer_start", "sentences", "metadata"]
"""The columns of a part that scoring looks at."""

SELF_ENDED = 70
"""Exit code of an actor whose engine asked the process to end."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the run's dataset."""

    bucket: int
    key: str
    num_traces: int
    """Traces of this run in it."""
    token_files: tuple[str, ...] = ()
    """Where the store holds token scores of some of its traces (`realign`)."""
    num_held: int = 0
    """How many traces those are; the model scores the others."""


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """What scoring one part came to."""

    key: str
    num_traces: int
    num_errors: int
    num_tokens: int
    """Tokens read: prompts and responses."""
    seconds: float


def score(
    parts: list[Part],
    *,
    store: Root,
    dataset: str,
    model: ModelConfig,
    identity: ModelIdentity,
    load: Callable[..., Scorer] = load_scorer,
    ledger: str | None = None,
) -> Iterator[ScoredPart]:
    """Run the stage over parts that have no scores of this model yet.

    Args:
        parts: What to score.
        store: Where parts lie and scores go.
        dataset: The dataset the parts belong to.
        model: How to host the model.
        identity: Which model it is.
        load: What loads it in each actor, called like `load_scorer`; for an engine of your own.
        ledger: Folder of the run's ledger, where the metadata that it gives the traces counts, and not
            that of the run which stored them.

    Yields:
        A record per part, as soon as its scores are committed.
    """
    items = ray.data.from_items(
        [
            {"bucket": part.bucket, "key": part.key, "token_files": list(part.token_files)}
            for part in parts
        ],
        override_num_blocks=len(parts),
    )
    items.context.autoscaling_config.actor_pool_util_upscaling_threshold = GROW_AT
    scored = items.map_batches(
        ScorePart,
        fn_constructor_kwargs={
            "store": store,
            "dataset": dataset,
            "model": model,
            "identity": identity,
            "run": secrets.token_hex(8),
            "load": load,
            "ledger": ledger,
        },
        batch_size=1,
        batch_format="pyarrow",
        **pool_arguments(model.pool, connected_cluster(), num_parts=len(parts)),
    )
    for row in scored.iter_rows():
        yield ScoredPart(**row)


class ScorePart:
    """The actor: loads one model once and scores parts for as long as its pool lives."""

    def __init__(
        self,
        *,
        store: Root,
        dataset: str,
        model: ModelConfig,
        identity: ModelIdentity,
        run: str,
        load: Callable[..., Scorer] = load_scorer,
        ledger: str | None = None,
    ) -> None:
        """Load the model; see `score` for the arguments. `run` names the driver that this actor works for.

        Raises:
            ModelError: if it cannot be loaded.
        """
        self._store, self._dataset, self._model_key = store, dataset, identity.key
        self._keep, self._ledger = model.keep_token_logprobs, ledger
        self._attempts = Attempts(store, identity.key, run=run, width=OVERLAP)
        self._scorer = load(model, identity, num_threads=num_threads(model.pool))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score and commit the parts of a batch (one, as the stage sends them)."""
        try:
            return pa.Table.from_pylist([self._attempt(place) for place in batch.to_pylist()])
        except SystemExit:
            # Ray takes it for the actor's own wish, never starts it anew, and hangs (2.60, ray#62746).
            os._exit(SELF_ENDED)

    def _attempt(self, place: dict[str, Any]) -> dict[str, Any]:
        with self._attempts.on(place["key"], self._scorer.tokens) as tokens:
            return self._score_part(**place, tokens=tokens)

    def _score_part(
        self, bucket: int, key: str, token_files: list[str], tokens: ScoreTraces
    ) -> dict[str, Any]:
        begun = time.perf_counter()
        traces = read_traces(self._store, f"{bucket_folder(self._dataset, bucket)}/{key}.parquet")
        if self._ledger is not None:
            traces = _as_now_told(
                traces, self._store, f"{self._ledger}/bucket={bucket:04d}.parquet"
            )
        held = kept_tokens(self._store, token_files, [trace.trace_id for trace in traces])
        missing = [trace for trace in traces if trace.trace_id not in held]
        fresh = tokens(missing)
        if self._keep:  # before the scores, whose file says that the part is done
            name = token_name(self._model_key, self._dataset, bucket, key)
            keep_tokens(self._store, name, missing, fresh)
        held |= {trace.trace_id: each for trace, each in zip(missing, fresh, strict=True)}
        scores = [sentence_scores(trace, held[trace.trace_id]) for trace in traces]
        table = scores_table([trace.trace_id for trace in traces], scores)
        self._store.write_table(score_name(self._model_key, key), table)
        return {
            "key": key,
            "num_traces": len(scores),
            "num_errors": sum(score.error is not None for score in scores),
            "num_tokens": sum(
                len(each.spans) + each.num_prompt_tokens
                for each in fresh
                if isinstance(each, TraceTokens)
            ),
            "seconds": time.perf_counter() - begun,
        }


def scores_table(trace_ids: list[str], scores: list[SentenceScores]) -> pa.Table:
    """Scores as a table of the schema SCORES; a sentence without a token is null, not 0 or 1."""
    rows = [
        {
            "trace_id": trace_id,
            "num_prompt_tokens": score.num_prompt_tokens,
            "error": score.error,
            **({} if score.error else _columns(score)),
        }
        for trace_id, score in zip(trace_ids, scores, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def _columns(score: SentenceScores) -> dict[str, list[Any] | None]:
    measured = score.num_tokens > 0

    def nullable(values: NDArray[np.float32] | None) -> list[float | None] | None:
        if values is None:
            return None
        return [
            value if there else None for value, there in zip(values.tolist(), measured, strict=True)
        ]

    return {
        "sum_logprob": nullable(score.sum_logprob),
        "num_tokens": score.num_tokens.tolist(),
        "first_logprob": nullable(score.first_logprob),
        "sum_rank": nullable(score.sum_rank),
        "sum_brier": nullable(score.sum_brier),
    }


def read_traces(store: Root, name: str) -> list[Trace]:
    """The traces of a part, by the name of its file."""
    return [_trace(row) for row in store.read_table(name, columns=READ).to_pylist()]


def _as_now_told(traces: list[Trace], store: Root, ledger: str) -> list[Trace]:
    """The traces with a run's own metadata; none for those that are not in the run."""
    table = store.read_table(ledger, columns=["trace_id", "metadata", "reason"])
    told = {row["trace_id"]: row["metadata"] for row in table.to_pylist() if row["reason"] is None}
    return [replace(trace, metadata=told.get(trace.trace_id)) for trace in traces]


def _trace(row: dict[str, Any]) -> Trace:
    spans = [(span["start"], span["end"]) for span in row["sentences"]]
    return Trace(
        row["messages"],
        row["response"],
        spans,
        row["trace_id"],
        row["metadata"],
        row["answer_start"],
    )
