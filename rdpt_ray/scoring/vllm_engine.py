"""A model hosted by vLLM, for weights that do not fit one GPU and machines that already run it.

vLLM makes its own batches; it is given many sequences at once and its scores come back as flat lists.
It computes logits for every token of the prompt too, which cannot be told otherwise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.engine import RANK_CAP, TokenScores, TokenSequence
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.vllm_host import VllmHost

GROUP = 64
"""Sequences given to vLLM at once: enough to keep it busy (its batches hold `token_budget` tokens), few
enough that their scores, some 200 bytes a token until they are arrays, stay under a gigabyte."""


class VllmEngine:
    """Hosts one model in vLLM, and starts it again if it dies."""

    def __init__(self, model: ModelConfig, identity: ModelIdentity, *, num_threads: int) -> None:
        """Start vLLM; see `load_vllm`."""
        self._model = model
        self._host = VllmHost(model, identity, num_threads=num_threads)
        self._context_length: int = self._host.max_model_len - 1

    @property
    def context_length(self) -> int | None:
        """The `max_model_len` of vLLM, less the one token that it must generate."""
        return self._context_length

    def token_scores(self, batch: Sequence[TokenSequence]) -> list[TokenScores | str]:
        """Score a batch of any size; see `Engine.token_scores`.

        Raises:
            RuntimeError: if vLLM died of it; the next call starts it again.
            ModelError: if it does not start again.
        """
        results: list[TokenScores | str] = [self._fault(sequence) for sequence in batch]
        ready = [place for place, fault in enumerate(results) if not fault]
        for start in range(0, len(ready), GROUP):
            places = ready[start : start + GROUP]
            scored = self._generate([batch[place] for place in places])
            for place, scores in zip(places, scored, strict=True):
                results[place] = scores
        return results

    def close(self) -> None:
        """End vLLM's processes; the next call starts them again."""
        self._host.close()

    def _fault(self, sequence: TokenSequence) -> str:
        """Why vLLM would refuse the whole call because of this sequence, or nothing."""
        if len(sequence) > self._context_length:
            return f"context_exceeded: {len(sequence)} tokens, vLLM reads at most {self._context_length}"
        largest = max(*sequence.prompt_ids, *sequence.response_ids)
        if largest >= self._host.vocabulary:
            return f"engine_error: token id {largest}, the model has {self._host.vocabulary}"
        return ""

    def _generate(self, group: Sequence[TokenSequence]) -> list[TokenScores | str]:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        asked = SamplingParams(
            prompt_logprobs=0, flat_logprobs=True, max_tokens=1, temperature=0, detokenize=False
        )
        prompts = [[*sequence.prompt_ids, *sequence.response_ids] for sequence in group]
        pairs = zip(group, self._host.generate(prompts, asked), strict=True)
        return [self._scores(sequence, output.prompt_logprobs) for sequence, output in pairs]

    def _scores(self, sequence: TokenSequence, flat: Any) -> TokenScores | str:
        """The response's part of vLLM's `FlatLogprobs`, once it is about the ids that were sent."""
        ids = [*sequence.prompt_ids, *sequence.response_ids][1:]
        found = getattr(flat, "token_ids", None)
        if found != ids:
            came = "none" if found is None else f"{len(found)}, or of other tokens"
            return f"engine_error: expected {len(ids)} prompt log-probabilities of vLLM, got {came}"
        first = len(sequence.prompt_ids) - 1
        logprobs = np.array(flat.logprobs[first:], dtype=np.float32)
        scores = np.minimum(logprobs, np.float32(0))
        if "rank" not in self._model.signals:
            return TokenScores(scores)
        ranks = np.array(flat.ranks[first:], dtype=np.int32)
        return TokenScores(scores, np.minimum(ranks, RANK_CAP))


def load_vllm(model: ModelConfig, identity: ModelIdentity, *, num_threads: int) -> VllmEngine:
    """Load weights into vLLM; see `VllmHost`.

    Raises:
        ModelError: if vLLM is not installed here, or does not start, naming the model.
    """
    return VllmEngine(model, identity, num_threads=num_threads)
