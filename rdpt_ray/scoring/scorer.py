"""Text in, scores out: one model's view of a part's traces.

A fault of one trace (a template that refuses it, a context that is too short, numbers that are not
finite) becomes that trace's error, "code: what came and what was expected"; it never touches its
neighbours and is never a number.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span, first_of_sentence, sentence_of_token, sentence_sums
from rdpt_ray.scoring.batching import plan_batches
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, Encoded, Message, TraceEncoder
from rdpt_ray.scoring.engine import Engine, TokenScores, TokenSequence


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a trace when it is scored."""

    messages: list[Message]
    response: str
    sentences: list[Span]
    trace_id: str = ""
    metadata: str | None = None
    """The row's own facts, a JSON object; recorded log-probabilities are found by one of them."""
    answer_start: int = 0
    """Where in the response its answer begins; 0 without reasoning, its length without an answer."""


@dataclass(frozen=True, slots=True)
class TraceTokens:
    """One model's scores of one trace, token by token."""

    spans: NDArray[np.int64]
    """[R, 2] character offsets of the response's tokens in the response."""
    scores: TokenScores
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """One model's scores of one trace. Arrays have one entry per sentence, or are empty beside an error."""

    sum_logprob: NDArray[np.float32]
    """[sentences] sum of token log-probabilities in nats; NaN for a sentence without a token."""
    num_tokens: NDArray[np.int32]
    """[sentences] tokens of each sentence under this model's tokenizer."""
    first_logprob: NDArray[np.float32]
    """[sentences] log-probability of the sentence's first token (ASLEC); NaN without a token."""
    num_prompt_tokens: int
    sum_rank: NDArray[np.float32] | None = None
    """[sentences] sum of the tokens' ranks (RSR), if measured."""
    sum_brier: NDArray[np.float32] | None = None
    """[sentences] sum of the tokens' Brier scores (LARK), if measured."""
    error: str | None = None
    """None, or "code: what came and what was expected"."""


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
            done = self._score({place: item.sequence for place, item in ready.items()})
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
        try:
            encoded = self._encoder.encode(trace.messages, trace.response, trace.answer_start)
        except TEMPLATE_FAULTS as error:
            return f"template_error: the chat template or the tokenizer refused it: {error!r}"[:500]
        except Exception as error:
            if type(error) is not Exception:  # what `tokenizers` raises has no type of its own
                raise
            return f"tokenizer_error: the tokenizer refused it: {error!r}"[:500]
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


def _finite(encoded: Encoded, scores: TokenScores | str) -> TraceTokens | str:
    if isinstance(scores, str):
        return scores
    own = _of_tokens(scores, encoded.own)
    num_bad = int(np.count_nonzero(~np.isfinite(own.logprobs)))
    if num_bad:
        return f"nonfinite_score: {num_bad} of {len(own.logprobs)} log-probabilities"
    return TraceTokens(encoded.spans[: len(own.logprobs)], own, len(encoded.sequence.prompt_ids))


def _of_tokens(scores: TokenScores, places: NDArray[np.int64]) -> TokenScores:
    """The scores of these tokens; the others were markup."""
    ranks, briers = scores.ranks, scores.briers
    places = places[places < len(scores.logprobs)]  # a sequence that was given up has fewer
    return TokenScores(
        scores.logprobs[places],
        None if ranks is None else ranks[places],
        None if briers is None else briers[places],
    )


def sentence_scores(trace: Trace, tokens: TraceTokens | str) -> SentenceScores:
    """Add a trace's tokens up, sentence by sentence (docs/method.md: which token belongs to which).

    Args:
        trace: The trace, with its sentences.
        tokens: Its token scores under one model, or its error.

    Returns:
        The sentences' scores, or the same error.
    """
    if isinstance(tokens, str):
        nothing = np.empty(0, np.float32)
        return SentenceScores(nothing, np.empty(0, np.int32), nothing, 0, error=tokens)
    owners = sentence_of_token(trace.response, trace.sentences, tokens.spans)
    num_sentences = len(trace.sentences)
    sums, num_tokens = sentence_sums(tokens.scores.logprobs, owners, num_sentences)
    ranks, briers = tokens.scores.ranks, tokens.scores.briers
    return SentenceScores(
        sums,
        num_tokens,
        first_of_sentence(tokens.scores.logprobs, owners, num_sentences),
        tokens.num_prompt_tokens,
        None if ranks is None else sentence_sums(ranks, owners, num_sentences)[0],
        None if briers is None else sentence_sums(briers, owners, num_sentences)[0],
    )
