"""What an engine is: token ids in, one log-probability per response token out.

Tokenisation, sentences and files are other people's business, so an engine can be a local model, a
server, or a table of recorded numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One trace for one model: the rendered prompt's ids, then the response's ids."""

    prompt_ids: list[int]
    """At least one id: the first response token needs something before it."""
    response_ids: list[int]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


class Engine(Protocol):
    """Hosts one model. Results depend on each sequence alone, never on what shares its batch."""

    @property
    def context_length(self) -> int | None:
        """Longest sequence the model can read, in tokens; None if unlimited."""
        ...

    def token_logprobs(self, batch: Sequence[TokenSequence]) -> list[NDArray[np.float32]]:
        """Score one batch that fits the token budget.

        Args:
            batch: Sequences to score in one pass.

        Returns:
            Per sequence, [R] float32: log p(token | all before) in nats for each response token, at most
            0; NaN or infinite where the model gave such.
        """
        ...
