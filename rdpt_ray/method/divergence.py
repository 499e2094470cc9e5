"""How far apart two models are on a sentence: each model gives it a value, and the values are subtracted.

A divergence turns one model's stored sums into values; `method.provenance.classify` then compares the
values of two or three models against alpha and beta, whatever the divergence.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rdpt_ray.method.provenance import sentence_prob

Values = Callable[[ArrayLike, ArrayLike, ArrayLike], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Divergence:
    """A named way to put one model's opinion of a sentence into one number."""

    name: str
    unit: str
    """Of the values, and so of alpha and beta."""
    alpha: float
    """Default agreement threshold."""
    beta: float
    """Default difference threshold."""
    highest: float
    """The largest value that a model can give a sentence; what exact pruning bounds the teacher by."""
    values: Values
    """(sum_logprob in nats, num_tokens, characters), each [sentences] -> [sentences] float64.

    NaN for a sentence without a token; log-probabilities above 0, which only rounding makes, count as 0.
    """


def log_ratio(sums: ArrayLike, tokens: ArrayLike, num_chars: ArrayLike) -> NDArray[np.float64]:
    """Mean log-probability of a token, so that the difference is the log of the paper's ratio (ours)."""
    return _means(sums, tokens, tokens)


def log_ratio_per_char(
    sums: ArrayLike, tokens: ArrayLike, num_chars: ArrayLike
) -> NDArray[np.float64]:
    """Log-probability of a character: two tokenizers divide by the same number (ours)."""
    return _means(sums, tokens, num_chars)


def _prob(sums: ArrayLike, tokens: ArrayLike, num_chars: ArrayLike) -> NDArray[np.float64]:
    return sentence_prob(sums, tokens)


def _means(sums: ArrayLike, tokens: ArrayLike, divisor: ArrayLike) -> NDArray[np.float64]:
    totals = np.asarray(sums, dtype=np.float64)
    parts = np.asarray(divisor, dtype=np.float64)
    scored = (np.asarray(tokens) > 0) & (parts > 0)
    means = np.divide(totals, parts, out=np.full(totals.shape, np.nan), where=scored)
    return np.minimum(means, 0.0)


# 0.2 nats is what 0.1 of probability is around p = 0.5 (dp / p); a token is about four characters long.
DIVERGENCES: dict[str, Divergence] = {
    each.name: each
    for each in (
        Divergence("prob_difference", "probability", 0.1, 0.1, 1.0, _prob),
        Divergence("log_ratio", "nats per token", 0.2, 0.2, 0.0, log_ratio),
        Divergence("log_ratio_per_char", "nats per character", 0.05, 0.05, 0.0, log_ratio_per_char),
    )
}
"""By name; `prob_difference` is the paper's and the default."""
