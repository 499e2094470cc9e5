"""Log-probabilities that were recorded when the traces were sampled: no model, no GPU, no second guess.

Whatever is not certain is the trace's error: no record, two that disagree, tokens that are not its text,
numbers that are no log-probabilities. Never silently a number.
"""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.recorded_text import RecordedTokenizer, load_recorded_tokenizer
from rdpt_ray.scoring.traces import Trace, TraceTokens

Record = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Token ids and their log-probabilities in nats, as recorded: [tokens] each, if the record is sound."""

Lookup = Callable[[Sequence[str]], Mapping[str, Record | str]]
"""Ids to the records there are of them; text in place of a record is what is wrong with it."""

MAX_LOGPROB = 1e-3
"""Rounding can leave a log-probability a little above 0 (1e-7 in float32, more in bfloat16)."""


class RecordedScorer:
    """A tokenizer, and a place to look records up."""

    def __init__(self, tokenizer: RecordedTokenizer, lookup: Lookup, join: str) -> None:
        """Put the two together.

        Args:
            tokenizer: Of the model that sampled the traces.
            lookup: Finds records; asked once for all traces of a part.
            join: What of a trace is the record's id: a key of its metadata, or "trace_id".
        """
        self._tokenizer = tokenizer
        self._lookup = lookup
        self._join = join

    def tokens(self, traces: Sequence[Trace]) -> list[TraceTokens | str]:
        """Look every trace up; see `Scorer.tokens`. No prompt is read, so it counts no tokens."""
        identities = [record_id(trace, self._join) for trace in traces]
        records = self._lookup(sorted({each for each in identities if each is not None}))
        return [
            self._scored(trace, identity, records)
            for trace, identity in zip(traces, identities, strict=True)
        ]

    def _scored(
        self, trace: Trace, identity: str | None, records: Mapping[str, Record | str]
    ) -> TraceTokens | str:
        if identity is None:
            return (
                f"recorded_missing: the trace has no {self._join!r} in its metadata; name its column in"
                f" the config, input.columns: {{metadata.{self._join}: COLUMN}}"
            )
        record = records.get(identity, f"recorded_missing: no record has the id {identity[:80]!a}")
        if isinstance(record, str):
            return record
        token_ids, logprobs = record
        fault = _fault(token_ids, logprobs)
        if fault is not None:
            return fault
        try:
            places, spans = self._tokenizer.place(trace.response, token_ids.tolist())
        except ValueError as error:
            return f"recorded_mismatch: {error}"
        return TraceTokens(spans, TokenScores(np.minimum(logprobs[places], 0.0)), 0)


def load_recorded(
    model: ModelConfig, identity: ModelIdentity, *, num_threads: int, lookup: Lookup
) -> RecordedScorer:
    """Load what recorded traces need to be scored, called like `loading.load_scorer`.

    Args:
        model: As configured, with `recorded`.
        identity: Whose tokenizer.
        num_threads: Unused: there is nothing to compute.
        lookup: Finds records.

    Raises:
        ModelError: if `recorded` is not configured, or there is no usable tokenizer.
    """
    del num_threads
    if model.recorded is None:
        raise ModelError(f"model {model.model}: `recorded` says nothing of where its records are")
    tokenizer = load_recorded_tokenizer(identity.location, identity.revision)
    return RecordedScorer(tokenizer, lookup, model.recorded.join_key)


def record_id(trace: Trace, join: str) -> str | None:
    """The id under which a trace was recorded; None if it has none.

    Args:
        trace: With metadata, canonical JSON.
        join: A key of the metadata, or "trace_id".
    """
    if join == "trace_id":
        return trace.trace_id
    metadata = json.loads(trace.metadata) if trace.metadata else None
    value = metadata.get(join) if isinstance(metadata, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)


def _fault(token_ids: NDArray[np.int32], logprobs: NDArray[np.float32]) -> str | None:
    """Why the numbers of a record cannot be trusted."""
    if len(token_ids) != len(logprobs):
        return f"recorded_length: {len(token_ids)} token ids, {len(logprobs)} log-probabilities"
    num_bad = int(np.count_nonzero(~np.isfinite(logprobs)))
    if num_bad:
        return f"nonfinite_score: {num_bad} of {len(logprobs)} log-probabilities"
    largest = float(logprobs.max(initial=-1.0))
    if largest > MAX_LOGPROB:
        return f"recorded_positive: a log-probability of {largest:.6g}; expected at most 0"
    return None
