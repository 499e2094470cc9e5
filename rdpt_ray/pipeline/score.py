"""Parts to one model's scores: a pool of actors, each hosting the model, one part at a time.

An actor commits a part's scores itself, whole, under the model's key, before it reports; so a killed run
loses at most the parts in flight, and a part that is there is never scored again.
"""

import json
import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import RdptError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.demand import AllOf, Demand
from rdpt_ray.pipeline.kept_tokens import keep_tokens, kept_tokens
from rdpt_ray.pipeline.part_pool import attempts_of, ending_itself, over_parts, pulse_of
from rdpt_ray.pipeline.part_report import Duty, PartReport, ScoredPart
from rdpt_ray.pipeline.pools import num_threads
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.scoring.numerics import numerics
from rdpt_ray.scoring.scorer import ModelScorer, Scorer
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.scores import (
    is_pruned,
    read_held,
    read_partial,
    score_name,
    without_passing,
    write_scores,
)
from rdpt_ray.storage.token_scores import token_name

READ = ["trace_id", "messages", "response", "answer_start", "sentences", "metadata"]
"""The columns of a part that scoring looks at."""

ScoreTraces = Callable[[Sequence[Trace]], list[TraceTokens | str]]
"""What `Scorer.tokens` is."""


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


def score(
    parts: list[Part],
    *,
    store: Root,
    dataset: str,
    model: ModelConfig,
    identity: ModelIdentity,
    session: str,
    role: str = "",
    load: Callable[..., Scorer] = load_scorer,
    demand: Demand | None = None,
    ledger: str | None = None,
    stalled: Callable[[str], None] = lambda why: None,
) -> Generator[ScoredPart, None, None]:
    """Run the stage over parts that have no scores of this model yet.

    Args:
        parts: What to score.
        store: Where parts lie and scores go.
        dataset: The dataset the parts belong to.
        model: How to host the model.
        identity: Which model it is.
        session: The file of the session that this is done for.
        role: What the model is in the run, for whoever watches.
        load: What loads it in each actor, called like `load_scorer`; for an engine of your own.
        demand: What to read of each part; None: all of it.
        ledger: Folder of the run's ledger, where the metadata that it gives the traces counts, and not
            that of the run which stored them.
        stalled: Called, from a thread, when Ray does nothing any more.

    Yields:
        A record per part, as soon as its scores are committed.
    """
    # Two sessions that score the same parts meet least often if each goes its own way through them.
    ordered = random.Random(session).sample(parts, len(parts))
    places = [
        {"bucket": part.bucket, "key": part.key, "token_files": list(part.token_files)}
        for part in ordered
    ]
    arguments = {
        "store": store,
        "dataset": dataset,
        "model": model,
        "identity": identity,
        "session": session,
        "role": role,
        "load": load,
        "demand": demand,
        "ledger": ledger,
    }
    for row in over_parts(ScorePart, places, arguments, model.pool, stalled):
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
        session: str,
        role: str = "",
        load: Callable[..., Scorer] = load_scorer,
        demand: Demand | None = None,
        ledger: str | None = None,
        vitals: Any = None,
    ) -> None:
        """Load the model; see `score` for the arguments. `vitals` listens to signs of life."""
        self._store, self._dataset, self._model_key = store, dataset, identity.key
        self._keep, self._demand, self._ledger = model.keep_token_logprobs, demand, ledger
        self._pulse = pulse_of(model.pool, vitals)
        self._report = PartReport(Duty(session, role), model.pool)
        self._attempts = attempts_of(store, identity.key, session, self._pulse)
        threads = num_threads(model.pool)
        self._scorer: Scorer | RdptError
        with self._pulse.loading():
            try:
                self._scorer = load(model, identity, num_threads=threads)
            except RdptError as error:
                self._scorer = error  # raised by the first part: Ray would load again and again
        if isinstance(self._scorer, ModelScorer):
            self._scorer.after_pass = self._pulse.passed
            self._report.busy_s = self._scorer.busy_s
        self._numerics = json.dumps(numerics(model, num_threads=threads), sort_keys=True)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score and commit the parts of a batch (one, as the stage sends them).

        Raises:
            ModelError: if the model could not be loaded.
        """
        if isinstance(self._scorer, RdptError):
            raise self._scorer
        with ending_itself():
            return pa.Table.from_pylist(
                [self._attempt(place, self._scorer) for place in batch.to_pylist()]
            )

    def _attempt(self, place: dict[str, Any], scorer: Scorer) -> dict[str, Any]:
        with self._attempts.on(place["key"], scorer.tokens) as work:
            if work is None:
                return asdict(ScoredPart(place["key"], 0, 0, 0, 0, 0.0, is_left=True))
            with self._pulse.scoring():
                scored = self._score_part(**place, tokens=work.tokens)
        num_again = scored.num_scored if work.was_lost else 0
        scored = replace(scored, num_again=num_again, numerics=self._numerics)
        return asdict(self._report.of(scored))

    def _score_part(
        self, bucket: int, key: str, token_files: list[str], tokens: ScoreTraces
    ) -> ScoredPart:
        begun = time.perf_counter()
        traces = read_traces(self._store, f"{bucket_folder(self._dataset, bucket)}/{key}.parquet")
        if self._ledger is not None:
            traces = _as_now_told(
                traces, self._store, f"{self._ledger}/bucket={bucket:04d}.parquet"
            )
        ids = [trace.trace_id for trace in traces]
        name = token_name(self._model_key, self._dataset, bucket, key)
        has_all = not self._keep or self._store.exists(name)
        # Where tokens are to be kept and are not there, the part is read once more.
        read = read_held if has_all else read_partial
        num_sentences = [len(trace.sentences) for trace in traces]
        # An error of `PASSING` counts as nothing read, until this attempt meets it again.
        there = read(self._store, self._model_key, key, ids, num_sentences)
        rows = without_passing(there)
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
        if rows != there or not self._store.exists(score_name(self._model_key, key)):
            if self._keep:  # before the scores, whose file says that the part is done
                kept = kept_tokens(self._store, [name], ids) if self._store.exists(name) else {}
                kept |= fresh
                told = [trace for trace in traces if trace.trace_id in kept]
                keep_tokens(self._store, name, told, [kept[trace.trace_id] for trace in told])
            write_scores(self._store, self._model_key, key, ids, list(rows.values()))
        results = [rows[trace_id] for trace_id in fresh]
        return ScoredPart(
            key=key,
            num_scored=sum(not is_pruned(row) for row in results),
            num_errors=sum(row["error"] is not None and not is_pruned(row) for row in results),
            num_pruned=reading.num_unread(rows),
            num_tokens=sum(
                len(each.spans) + each.num_prompt_tokens
                for each in fresh.values()
                if isinstance(each, TraceTokens)
            ),
            seconds=time.perf_counter() - begun,
        )


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
