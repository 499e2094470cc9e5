"""Text in, sentence scores out: one model's view of a part's traces.

A fault of one trace (a template that refuses it, a context that is too short, numbers that are not
finite) becomes that trace's `error`; it never touches its neighbours and is never a number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span, sentence_of_token, sentence_sums
from rdpt_ray.scoring.batching import plan_batches
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, Encoded, Message, TraceEncoder
from rdpt_ray.scoring.engine import Engine, TokenSequence


@dataclass(frozen=True, slots=True)
class Trace:
    """What a model reads of a trace."""

    messages: list[Message]
    response: str
    sentences: list[Span]


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """One model's scores of one trace. Arrays have one entry per sentence, or are empty beside an error."""

    sum_logprob: NDArray[np.float32]
    """[sentences] sum of token log-probabilities in nats; NaN for a sentence without a token."""
    num_tokens: NDArray[np.int32]
    """[sentences] tokens of each sentence under this model's tokenizer."""
    num_prompt_tokens: int
    error: str | None = None
    """None, or "code: what came and what was expected"."""


class Scorer:
    """An encoder and an engine, with the batches planned between them."""

    def __init__(self, encoder: TraceEncoder, engine: Engine, token_budget: int) -> None:
        """Put the two halves of a model together.

        Args:
            encoder: Its tokenizer and template.
            engine: Its weights, or a server that holds them.
            token_budget: Tokens per forward pass.
        """
        self._encoder = encoder
        self._engine = engine
        self._token_budget = token_budget

    def score(self, traces: Sequence[Trace]) -> list[SentenceScores]:
        """Score every sentence of every trace in as few passes as the token budget allows.

        Args:
            traces: A part's traces; the batches are planned among them alone.

        Returns:
            One `SentenceScores` per trace, in order.
        """
        encoded = [self._encode(trace) for trace in traces]
        ready = [index for index, item in enumerate(encoded) if isinstance(item, Encoded)]
        sequences = [item.sequence for item in encoded if isinstance(item, Encoded)]
        logprobs: dict[int, NDArray[np.float32] | str] = {}
        for batch in plan_batches([len(sequence) for sequence in sequences], self._token_budget):
            for place, values in self._pass(batch, sequences):
                logprobs[ready[place]] = values
        return [
            _failed(item) if isinstance(item, str) else _align(trace, item, logprobs[index])
            for index, (trace, item) in enumerate(zip(traces, encoded, strict=True))
        ]

    def _pass(
        self, batch: list[int], sequences: list[TokenSequence]
    ) -> Iterator[tuple[int, NDArray[np.float32] | str]]:
        """One forward pass; where it fails (out of memory, an id the model lacks), two of half the size.

        Halving ends at the traces that fail alone, and only those get the error.
        """
        try:
            values = self._engine.token_logprobs([sequences[place] for place in batch])
        except (RuntimeError, IndexError) as error:
            if len(batch) == 1:
                yield batch[0], f"engine_error: {error!r}"[:500]
                return
            middle = len(batch) // 2
            yield from self._pass(batch[:middle], sequences)
            yield from self._pass(batch[middle:], sequences)
        else:
            yield from zip(batch, values, strict=True)

    def _encode(self, trace: Trace) -> Encoded | str:
        """The trace's ids, or its error."""
        try:
            encoded = self._encoder.encode(trace.messages, trace.response)
        except TEMPLATE_FAULTS as error:
            return f"template_error: the chat template or the tokenizer refused it: {error!r}"[:500]
        limit = self._engine.context_length
        if limit is not None and len(encoded.sequence) > limit:
            return (
                f"context_exceeded: {len(encoded.sequence)} tokens"
                f" ({len(encoded.sequence.prompt_ids)} prompt, {len(encoded.sequence.response_ids)}"
                f" response), the model reads at most {limit}"
            )
        if not encoded.sequence.prompt_ids:
            return "empty_prompt: the chat template rendered to no token, so nothing predicts the first"
        if not encoded.sequence.response_ids:
            return "no_tokens: the tokenizer gave no token for the response"
        return encoded


def _align(trace: Trace, encoded: Encoded, logprobs: NDArray[np.float32] | str) -> SentenceScores:
    if isinstance(logprobs, str):
        return _failed(logprobs)
    num_bad = int(np.count_nonzero(~np.isfinite(logprobs)))
    if num_bad:
        return _failed(f"nonfinite_score: {num_bad} of {len(logprobs)} log-probabilities")
    owners = sentence_of_token(trace.response, trace.sentences, encoded.spans)
    sums, num_tokens = sentence_sums(logprobs, owners, len(trace.sentences))
    return SentenceScores(sums, num_tokens, len(encoded.sequence.prompt_ids))


def _failed(error: str) -> SentenceScores:
    return SentenceScores(np.empty(0, np.float32), np.empty(0, np.int32), 0, error)
