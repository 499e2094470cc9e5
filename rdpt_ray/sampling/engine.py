"""What a sampling engine is: prompt ids in, drawn ids with their log-probabilities out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ask:
    """One response to draw."""

    prompt_ids: list[int]
    """At least one."""
    stream: int
    """Seeds the row's own random stream."""
    max_tokens: int
    """The longest response, its end token included; at least 1."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A response as it was drawn."""

    token_ids: NDArray[np.int32]
    """[tokens] as drawn, the end token included if one came."""
    logprobs: NDArray[np.float32]
    """[tokens] what the model gave each of them, in nats: at temperature 1, before anything is cut off."""
    is_ended: bool
    """Whether the last token ends the turn; if not, the response was cut."""


class SamplingEngine(Protocol):
    """Hosts one model."""

    after_step: Callable[[], None]
    """Called now and then while responses are drawn: a sign of life."""

    @property
    def context_length(self) -> int | None:
        """Longest sequence of prompt and response, in tokens; None if unlimited."""
        ...

    def draw(self, asks: Sequence[Ask]) -> list[Drawn | str]:
        """Draw one response to each, in order.

        What is drawn depends on the row's own stream; its rounding may depend on what shares the batch, and
        the batches on `asks` alone.

        Args:
            asks: Of a part, or any of them.

        Returns:
            Per row what was drawn, or its error as "code: what came and what was expected".
        """
        ...
