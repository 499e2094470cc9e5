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

import pyarrow as pa
import ray

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.attempts import Attempts, ScoreTraces
from rdpt_ray.pipeline.demand import AllOf, Demand
from rdpt_ray.pipeline.kept_tokens import keep_tokens, kept_tokens
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.pools import GROW_AT, OVERLAP, num_threads, pool_arguments
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.scoring.scorer import Scorer, Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.scores import is_pruned, read_partial, write_scores
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
    """Traces of this run that need no more reading."""


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """What scoring one part came to."""

    key: str
    num_scored: int
    """Traces that the model read to their end."""
    num_errors: int
    num_pruned: int
    """Traces of this run that it did not read, or not to their end, because nothing depends on them."""
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
    demand: Demand | None = None,
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
        demand: What to read of each part; None: all of it.
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
            "demand": demand,
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
        demand: Demand | None = None,
        ledger: str | None = None,
    ) -> None:
        """Load the model; see `score` for the arguments. `run` names the driver that this actor works for.

        Raises:
            ModelError: if it cannot be loaded.
        """
        self._store, self._dataset, self._model_key = store, dataset, identity.key
        self._keep, self._demand, self._ledger = model.keep_token_logprobs, demand, ledger
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
        ids = [trace.trace_id for trace in traces]
        rows = read_partial(self._store, self._model_key, key, ids)
        held = kept_tokens(self._store, token_files, ids)
        rows |= {
            trace.trace_id: scores_row(trace.trace_id, sentence_scores(trace, held[trace.trace_id]))
            for trace in traces
            if trace.trace_id in held
        }
        reading = AllOf(traces) if self._demand is None else self._demand.of(bucket, key, traces)
        fresh: dict[str, TraceTokens | str] = {}
        while wave := reading.wave(rows):
            fresh |= zip([trace.trace_id for trace in wave], tokens(wave), strict=True)
            rows |= {
                trace.trace_id: scores_row(
                    trace.trace_id, sentence_scores(trace, fresh[trace.trace_id])
                )
                for trace in wave
            }
        if self._keep:  # before the scores, whose file says that the part is done
            name = token_name(self._model_key, self._dataset, bucket, key)
            kept = kept_tokens(self._store, [name], ids) if self._store.exists(name) else {}
            kept |= fresh
            read = [trace for trace in traces if trace.trace_id in kept]
            keep_tokens(self._store, name, read, [kept[trace.trace_id] for trace in read])
        write_scores(self._store, self._model_key, key, ids, list(rows.values()))
        results = [rows[trace_id] for trace_id in fresh]
        return {
            "key": key,
            "num_scored": sum(not is_pruned(row) for row in results),
            "num_errors": sum(row["error"] is not None and not is_pruned(row) for row in results),
            "num_pruned": reading.num_unread(rows),
            "num_tokens": sum(
                len(each.spans) + each.num_prompt_tokens
                for each in fresh.values()
                if isinstance(each, TraceTokens)
            ),
            "seconds": time.perf_counter() - begun,
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
