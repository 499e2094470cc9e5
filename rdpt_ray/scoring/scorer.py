"""Text in, scores out: one model's view of a part's traces.

A fault of one trace (a template that refuses it, a context that is too short, numbers that are not
finite) becomes that trace's error, "code: what came and what was expected"; it never touches its
neighbours and is never a number.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from rdpt_ray.scoring.batching import plan_batches
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, Encoded, TraceEncoder
from rdpt_ray.scoring.engine import Engine, TokenScores, TokenSequence
from rdpt_ray.scoring.traces import SentenceScores, Trace, TraceTokens, sentence_scores

Ids = TypeVar("Ids")


class Scorer(Protocol):
    """One model, or what it once said, ready to score traces."""

    def tokens(self, traces: Sequence[Trace]) -> list[TraceTokens | str]:
        """Score every token of every response. Two threads may call it at once, for two parts.

        Args:
            traces: A part's traces, or any of them: no result depends on the others.

        Returns:
            Per trace its token scores, or its error.
        """
        ...


class ModelScorer:
    """A tokenizer and an engine, with the batches planned between them."""

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
        self._encoding, self._passing = threading.Lock(), threading.Lock()
        self.after_pass: Callable[[], None] = lambda: None
        """Called after each forward pass: a sign of life."""
        self._busy_s = 0.0

    def busy_s(self) -> float:
        """Seconds in which the model has read, since it was loaded."""
        return self._busy_s

    def tokens(self, traces: Sequence[Trace]) -> list[TraceTokens | str]:
        """Score traces in as few passes as the token budget allows; see `Scorer.tokens`.

        Of two threads, one tokenises while the other's traces go through the model.
        """
        with self._encoding:
            encoded = [self._encode(trace) for trace in traces]
        results: list[TraceTokens | str] = [
            "" if isinstance(item, Encoded) else item for item in encoded
        ]
        ready = {place: item for place, item in enumerate(encoded) if isinstance(item, Encoded)}
        with self._passing:
            begun = time.monotonic()
            done = self._score(
                {place: _sequence(item, traces[place]) for place, item in ready.items()}
            )
            self._busy_s += time.monotonic() - begun
        for place, scores in done.items():
            results[place] = _finite(ready[place], scores)
        return results

    def score(self, traces: Sequence[Trace]) -> list[SentenceScores]:
        """The same, added up sentence by sentence."""
        tokens = self.tokens(traces)
        return [sentence_scores(*pair) for pair in zip(traces, tokens, strict=True)]

    def _score(self, sequences: dict[int, TokenSequence]) -> dict[int, TokenScores | str]:
        """Every sequence's scores. A batch that does not fit the memory halves the budget for the rest."""
        done: dict[int, TokenScores | str] = {}
        budget = self._token_budget
        while len(done) < len(sequences):
            left = [place for place in sequences if place not in done]
            for batch in plan_batches([len(sequences[place]) for place in left], budget):
                places = [left[index] for index in batch]
                try:
                    done |= self._pass(places, sequences)
                except MemoryError:
                    budget = sum(len(sequences[place]) for place in places) // 2
                    break
        return done

    def _pass(
        self, places: list[int], sequences: dict[int, TokenSequence]
    ) -> dict[int, TokenScores | str]:
        """One forward pass; where it fails, two of half the size, down to the traces that fail alone."""
        try:
            scores = self._engine.token_scores([sequences[place] for place in places])
            self.after_pass()
        except MemoryError as error:
            if len(places) > 1:
                raise
            return {places[0]: f"out_of_memory: {len(sequences[places[0]])} tokens: {error}"[:500]}
        except (RuntimeError, IndexError) as error:
            if len(places) == 1:
                return {places[0]: f"engine_error: {error!r}"[:500]}
            middle = len(places) // 2
            return self._pass(places[:middle], sequences) | self._pass(places[middle:], sequences)
        return dict(zip(places, scores, strict=True))

    def _encode(self, trace: Trace) -> Encoded | str:
        """The trace's ids, or its error."""
        encoded = or_error(
            lambda: self._encoder.encode(trace.messages, trace.response, trace.answer_start)
        )
        if isinstance(encoded, str):
            return encoded
        limit = self._engine.context_length
        if limit is not None and len(encoded.sequence) > limit:
            return (
                f"context_exceeded: {len(encoded.sequence)} tokens"
                f" ({len(encoded.sequence.prompt_ids)} prompt, {len(encoded.sequence.response_ids)}"
                f" response), the model reads at most {limit}"
            )
        if not encoded.sequence.prompt_ids:
            return "empty_prompt: the chat template rendered to no token, so nothing predicts the first"
        if not len(encoded.own):
            return "no_tokens: the tokenizer gave no token for the response"
        return encoded


def or_error(encode: Callable[[], Ids]) -> Ids | str:
    """What template and tokenizer make of untrusted text, or the error of the trace that it is of."""
    try:
        return encode()
    except TEMPLATE_FAULTS as error:
        return f"template_error: the chat template or the tokenizer refused it: {error!r}"[:500]
    except Exception as error:
        if type(error) is not Exception:  # what `tokenizers` raises has no type of its own
            raise
        return f"tokenizer_error: the tokenizer refused it: {error!r}"[:500]


def _sequence(encoded: Encoded, trace: Trace) -> TokenSequence:
    """What the engine reads; it asks the trace whether to go on."""
    gives_up = trace.gives_up
    if gives_up is None:
        return encoded.sequence
    return replace(
        encoded.sequence,
        gives_up=lambda logprobs: gives_up(_own_tokens(encoded, TokenScores(logprobs))),
    )


def _finite(encoded: Encoded, scores: TokenScores | str) -> TraceTokens | str:
    if isinstance(scores, str):
        return scores
    own = _own_tokens(encoded, scores)
    logprobs = own.scores.logprobs
    num_bad = int(np.count_nonzero(~np.isfinite(logprobs)))
    return f"nonfinite_score: {num_bad} of {len(logprobs)} log-probabilities" if num_bad else own


def _own_tokens(encoded: Encoded, scores: TokenScores) -> TraceTokens:
    """The scores of the response's own tokens, as many as were read; the others were markup."""
    ranks, briers = scores.ranks, scores.briers
    places = encoded.own[encoded.own < len(scores.logprobs)]
    own = TokenScores(
        scores.logprobs[places],
        None if ranks is None else ranks[places],
        None if briers is None else briers[places],
    )
    num_unread = len(encoded.own) - len(places)
    return TraceTokens(
        encoded.spans[: len(places)], own, len(encoded.sequence.prompt_ids), num_unread
    )
