"""Tokens to sentences: whichever way a tokenizer cuts the text, every token lands in one sentence.

Rule (docs/method.md): a token belongs to the sentence that holds its first non-blank character; an
all-blank token to the sentence of its first character. Byte-level tokenizers repeat one character's span
over several tokens, and some trim spans to empty; the rule needs neither to be otherwise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Span = tuple[int, int]


def first_inked(text: str, token_spans: ArrayLike) -> NDArray[np.int64]:
    """Position of each token's first non-blank character, or its start when it is all blank.

    Args:
        text: The response that was tokenised.
        token_spans: [tokens, 2] half-open character offsets into `text`.

    Returns:
        [tokens] int64 positions in [0, len(text)); a token at the very end gets the last character.
    """
    starts, ends = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2).T
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<U1")
    inked = np.flatnonzero(~np.char.isspace(characters))
    following = np.append(inked, len(text))[np.searchsorted(inked, starts)]
    return np.minimum(np.where(following < ends, following, starts), max(len(text) - 1, 0))


def sentence_of_token(
    text: str, sentences: Sequence[Span], token_spans: ArrayLike
) -> NDArray[np.int64]:
    """Index of the sentence that each token belongs to.

    Args:
        text: The response.
        sentences: Spans that tile `text`.
        token_spans: [tokens, 2] character offsets.

    Returns:
        [tokens] int64 indices into `sentences`.
    """
    sentence_starts = np.array([start for start, _ in sentences], dtype=np.int64)
    return np.searchsorted(sentence_starts, first_inked(text, token_spans), side="right") - 1


def sentence_sums(
    logprobs: ArrayLike, owners: NDArray[np.int64], num_sentences: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Add up token log-probabilities sentence by sentence, in float64, rounded once to float32.

    Args:
        logprobs: [tokens] natural-log probabilities.
        owners: [tokens] sentence index of each token, from `sentence_of_token`.
        num_sentences: Length of the result.

    Returns:
        `sum_logprob` [num_sentences] float32, NaN for a sentence without a token, and `num_tokens`
        [num_sentences] int32.
    """
    values = np.asarray(logprobs, dtype=np.float64)
    num_tokens = np.bincount(owners, minlength=num_sentences).astype(np.int32)
    sums = np.bincount(owners, weights=values, minlength=num_sentences)
    return np.where(num_tokens > 0, sums, np.nan).astype(np.float32), num_tokens


def first_of_sentence(
    values: ArrayLike, owners: NDArray[np.int64], num_sentences: int
) -> NDArray[np.float32]:
    """The value of each sentence's first token.

    Args:
        values: [tokens] any number per token.
        owners: [tokens] sentence index of each token, from `sentence_of_token`.
        num_sentences: Length of the result.

    Returns:
        [num_sentences] float32, NaN for a sentence without a token.
    """
    first = np.full(num_sentences, np.nan, dtype=np.float32)
    first[owners[::-1]] = np.asarray(values, dtype=np.float32)[::-1]
    return first
