"""Sampling by vLLM, which makes its own batches and draws every request from a generator of its own.

What it draws depends on the request's seed and on the logits, those by rounding on what shares a batch,
and that on timing. So its responses are not promised to repeat (docs/sampling.md).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.engine import Ask, Drawn
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.vllm_host import VllmHost


class VllmSampler:
    """Hosts one model in vLLM; see `SamplingEngine`."""

    def __init__(self, host: VllmHost, sampling: SamplingConfig, end_ids: Sequence[int]) -> None:
        """Take a host.

        Args:
            host: With the model.
            sampling: How to draw.
            end_ids: Tokens that end a turn.
        """
        self.after_step: Callable[[], None] = lambda: None
        self._host, self._sampling, self._end_ids = host, sampling, sorted(set(end_ids))

    @property
    def context_length(self) -> int | None:
        """The `max_model_len` of vLLM."""
        return self._host.max_model_len

    def draw(self, asks: Sequence[Ask]) -> list[Drawn | str]:
        """Draw a response to each; all at once, to keep vLLM busy."""
        results: dict[int, Drawn | str] = {}
        for row, ask in enumerate(asks):
            if max(ask.prompt_ids) >= self._host.vocabulary:
                results[row] = (
                    f"engine_error: token id {max(ask.prompt_ids)}, the model has"
                    f" {self._host.vocabulary}"
                )
        results |= self._halving([row for row in range(len(asks)) if row not in results], asks)
        return [results[row] for row in range(len(asks))]

    def close(self) -> None:
        """End vLLM's processes; the next call starts them again."""
        self._host.close()

    def _halving(self, rows: list[int], asks: Sequence[Ask]) -> dict[int, Drawn | str]:
        """Rows together; where vLLM dies of them, two halves, down to the row that it dies of alone."""
        if not rows:
            return {}
        try:
            outputs = self._host.generate(
                [asks[row].prompt_ids for row in rows],
                [self._params(asks[row]) for row in rows],
                told=lambda: self.after_step(),
            )
        except RuntimeError as error:
            if len(rows) == 1:
                return {rows[0]: f"engine_error: {error!r}"[:500]}
            middle = len(rows) // 2
            return self._halving(rows[:middle], asks) | self._halving(rows[middle:], asks)
        return {
            row: self._drawn(output.outputs[0]) for row, output in zip(rows, outputs, strict=True)
        }

    def _params(self, ask: Ask) -> Any:
        """A `SamplingParams`. vLLM's log-probabilities are raw ones, before temperature and cutting off."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        sampling = self._sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or 0,  # 0: all
            max_tokens=ask.max_tokens,
            seed=None if sampling.temperature == 0 else ask.stream,
            stop_token_ids=self._end_ids,
            logprobs=0,  # of the drawn token alone
            flat_logprobs=True,
            detokenize=False,
        )

    def _drawn(self, output: Any) -> Drawn | str:
        """One output, once its log-probabilities are those of its tokens."""
        tokens = np.array(output.token_ids, np.int32)
        flat = output.logprobs
        places = list(getattr(flat, "start_indices", []))
        about = [flat.token_ids[place] for place in places]
        if about != tokens.tolist():
            return (
                f"engine_error: expected {len(tokens)} log-probabilities of vLLM, got {len(about)}, or of"
                " other tokens"
            )
        given = np.array([flat.logprobs[place] for place in places], np.float32)
        num_bad = int(np.count_nonzero(~np.isfinite(given)))
        if num_bad or not len(given):
            return f"nonfinite_score: {num_bad} of {len(given)} log-probabilities"
        is_ended = bool(np.isin(tokens[-1], self._end_ids))
        return Drawn(tokens, np.minimum(given, np.float32(0)), is_ended)


def load_vllm(
    model: ModelConfig,
    identity: ModelIdentity,
    sampling: SamplingConfig,
    end_ids: Sequence[int],
    *,
    num_threads: int,
) -> VllmSampler:
    """Load weights into vLLM; see `VllmHost`.

    Raises:
        ModelError: if vLLM is not installed here, or does not start, naming the model.
    """
    return VllmSampler(VllmHost(model, identity, num_threads=num_threads), sampling, end_ids)
