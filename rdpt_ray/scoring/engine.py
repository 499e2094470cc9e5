"""What an engine is: token ids in, one log-probability per response token out.

Tokenisation, sentences and files are other people's business, so an engine can be a local model or a
server somewhere. To add one, write a class with these two members; nothing else is asked of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Signal = Literal["rank", "brier"]
"""What else a pass can measure of each token, for the policies that need it."""

RANK_CAP = 100
"""Ranks are counted up to here (RankSurprisalRatio, arXiv 2601.14249, its r)."""

BRIER_TOP = 50
"""The Brier score is taken over the softmax of this many largest logits (LARK, arXiv 2605.30651)."""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One trace for one model: the rendered prompt's ids, then the response's ids."""

    prompt_ids: list[int]
    """At least one id: the first response token needs something before it."""
    response_ids: list[int]
    gives_up: Callable[[NDArray[np.float32]], bool] | None = field(default=None, compare=False)
    """Asked, between the chunks of a long sequence, whether the response's log-probabilities so far make
    the rest useless; an engine that reads in one go never asks."""

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a model gave the R response tokens of one trace."""

    logprobs: NDArray[np.float32]
    """[R] log p(token | all before) in nats, at most 0; NaN or infinite where the model gave such. Fewer
    than R, from the first on, where the sequence was given up."""
    ranks: NDArray[np.int32] | None = None
    """[R] 1 + how many tokens were more likely, at most RANK_CAP; None if not asked for."""
    briers: NDArray[np.float32] | None = None
    """[R] Brier score over the BRIER_TOP likeliest tokens; None if not asked for."""


class Engine(Protocol):
    """Hosts one model. Results depend on each sequence alone, never on what shares its batch."""

    @property
    def context_length(self) -> int | None:
        """Longest sequence the model can read, in tokens; None if unlimited."""
        ...

    def token_scores(self, batch: Sequence[TokenSequence]) -> list[TokenScores | str]:
        """Score one batch: several sequences within the token budget, or one of any length.

        Args:
            batch: Sequences to score together.

        Returns:
            Per sequence its scores, or its error as "code: what came and what was expected".

        Raises:
            MemoryError: if the batch does not fit the memory; the caller comes back with less.
            RuntimeError: if the pass failed as a whole; the caller tries its halves.
        """
        ...
