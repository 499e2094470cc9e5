"""How a token is drawn inside transformers' `generate`: by the row's own stream, its log-probability kept."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    LogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.engine import Ask
from rdpt_ray.sampling.streams import Streams


class Draw(LogitsProcessor):
    """Chooses every row's next token and leaves `generate` no other.

    The model's logits come in untouched: no other processor is before this one.
    """

    def __init__(
        self,
        asks: Sequence[Ask],
        sampling: SamplingConfig,
        end: int,
        after_step: Callable[[], None],
    ) -> None:
        """Begin a batch.

        Args:
            asks: Its rows.
            sampling: Temperature, top-k and top-p.
            end: A token that ends a turn; a row at its `max_tokens` is given it, unrecorded.
            after_step: Called once per step.
        """
        self._streams = Streams([ask.stream for ask in asks])
        self._left = torch.tensor([ask.max_tokens for ask in asks])
        self._warpers = _warpers(sampling)
        self._end = end
        self._after_step = after_step
        self._steps: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> Any:
        """One step: log-probabilities [B, V] in, all but one of each row ruled out."""
        chosen_B = self._choose(input_ids, scores)
        given_B = scores.gather(1, chosen_B[:, None])[:, 0] - scores.logsumexp(-1)
        self._left = self._left.to(scores.device) - 1
        chosen_B = torch.where(self._left < 0, self._end, chosen_B)
        self._steps.append((chosen_B, given_B))
        self._after_step()
        ruled_out = torch.full_like(scores, -torch.inf)
        return ruled_out.scatter_(1, chosen_B[:, None], 0.0)

    def _choose(self, input_ids: Any, scores: Any) -> torch.Tensor:
        """[B] the next tokens: the inverse of the cumulative distribution, at each row's number."""
        if self._warpers is None:
            return scores.argmax(-1)
        uniform_B = torch.from_numpy(self._streams.step().copy()).to(scores.device)
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        cumulative_BV = scores.softmax(-1).cumsum(-1, dtype=torch.float64)
        total_B = cumulative_BV[:, -1]
        # Below the total, so that the token found is one with a probability.
        reached_B = torch.minimum(uniform_B * total_B, total_B.nextafter(torch.zeros_like(total_B)))
        found_B = torch.searchsorted(cumulative_BV, reached_B[:, None], right=True)[:, 0]
        return found_B.clamp(max=scores.shape[1] - 1)  # where the logits are no numbers

    def take(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Tokens and log-probabilities of the steps since the last call, [S, B] each."""
        tokens, given = zip(*self._steps, strict=True)
        self._steps = []
        return (
            torch.stack(tokens).int().cpu().numpy(),
            torch.stack(given).float().clamp(max=0.0).cpu().numpy(),
        )

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._streams.keep(rows)
        self._left = self._left[list(rows)]


def _warpers(sampling: SamplingConfig) -> list[LogitsProcessor] | None:
    """Transformers' own, in its order; None takes the likeliest token."""
    if sampling.temperature == 0:
        return None
    found: list[LogitsProcessor] = []
    if sampling.temperature != 1:
        found.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k is not None:
        found.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        found.append(TopPLogitsWarper(sampling.top_p))
    return found
