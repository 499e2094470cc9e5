"""Text in, scores out: one model's view of a part's traces.

A fault of one trace (a template that refuses it, a context that is too short, numbers that are not
finite) becomes that trace's error, "code: what came and what was expected"; it never touches its
neighbours and is never a number.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span, first_of_sentence, sentence_of_token, sentence_sums
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.scoring.batching import plan_batches
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, Encoded, Message, TraceEncoder
from rdpt_ray.scoring.engine import Engine, TokenScores, TokenSequence

Ids = TypeVar("Ids")


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
    gives_up: "Callable[[TraceTokens], bool] | None" = field(default=None, compare=False)
    """Asked now and then, while a long trace is read, whether the tokens so far make the rest useless."""


@dataclass(frozen=True, slots=True)
class TraceTokens:
    """One model's scores of one trace, token by token."""

    spans: NDArray[np.int64]
    """[R, 2] character offsets of the response's tokens in the response."""
    scores: TokenScores
    num_prompt_tokens: int
    num_unread: int = 0
    """Tokens behind these that were not read, because the trace was given up."""


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """One model's scores of one trace. Arrays have one entry per sentence, or are empty beside an error."""

    sum_logprob: NDArray[np.float32]
    """[sentences] sum of token log-probabilities in nats; NaN for a sentence without a token."""
    num_tokens: NDArray[np.int32]
    """[sentences] tokens of each sentence under this model's tokenizer; -1 where it was given up before."""
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
    scores = SentenceScores(
        sums,
        num_tokens,
        first_of_sentence(tokens.scores.logprobs, owners, num_sentences),
        tokens.num_prompt_tokens,
        None if ranks is None else sentence_sums(ranks, owners, num_sentences)[0],
        None if briers is None else sentence_sums(briers, owners, num_sentences)[0],
    )
    return _given_up(scores, owners, tokens.num_unread) if tokens.num_unread else scores


def _given_up(scores: SentenceScores, owners: NDArray[np.int64], num_unread: int) -> SentenceScores:
    """Scores of the sentences before the one in which reading ended; it, and all behind it, have none."""
    unread = np.arange(len(scores.num_tokens)) >= owners.max(initial=0)

    def cut(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(unread, np.float32(np.nan), values)

    return replace(
        scores,
        sum_logprob=cut(scores.sum_logprob),
        num_tokens=np.where(unread, np.int32(-1), scores.num_tokens),
        first_logprob=cut(scores.first_logprob),
        sum_rank=None if scores.sum_rank is None else cut(scores.sum_rank),
        sum_brier=None if scores.sum_brier is None else cut(scores.sum_brier),
        error=f"{PRUNED}: {len(owners)} of {len(owners) + num_unread} tokens read",
    )
