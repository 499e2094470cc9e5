"""A trace, one model's scores of its tokens, and the same added up sentence by sentence.

Nothing here needs a model: who reads scores back from the store, as selection does, needs no more than this.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span, first_of_sentence, sentence_of_token, sentence_sums
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.scoring.engine import TokenScores

Message = dict[str, str]


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
