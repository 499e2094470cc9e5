"""A model hosted by vLLM, for weights that do not fit one GPU and machines that already run it.

vLLM makes its own batches; it is given many sequences at once and its scores come back as flat lists.
It computes logits for every token of the prompt too, which cannot be told otherwise.
"""

import os
from collections.abc import Callable, Sequence
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import numpy as np

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.engine import RANK_CAP, TokenScores, TokenSequence
from rdpt_ray.scoring.identity import ModelIdentity

GROUP = 64
"""Sequences given to vLLM at once: enough to keep it busy (its batches hold `token_budget` tokens), few
enough that their scores, some 200 bytes a token until they are arrays, stay under a gigabyte."""

MAX_NUM_SEQS = 64
"""Sequences in one of its batches."""

CHECK_EVERY_S = 1.0
"""How often to look whether vLLM's processes live. Its client waits for ever for one that was killed, as the
kernel does when memory is short (0.32, `SyncMPClient.get_output`)."""


class VllmEngine:
    """Hosts one model in vLLM, and starts it again if it dies."""

    def __init__(self, model: ModelConfig, identity: ModelIdentity) -> None:
        """Start vLLM; see `load_vllm`."""
        self._model = model
        self._identity = identity
        self._children: list[BaseProcess] = []
        self._llm: Any = None
        self._start()
        config = self._llm.llm_engine.model_config
        self._vocabulary: int = config.get_vocab_size()
        self._context_length: int = config.max_model_len - 1

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
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _start(self) -> None:
        before = active_children()
        self._llm = _load(self._model, self._identity)
        self._children = [child for child in active_children() if child not in before]

    def _fault(self, sequence: TokenSequence) -> str:
        """Why vLLM would refuse the whole call because of this sequence, or nothing."""
        if len(sequence) > self._context_length:
            return f"context_exceeded: {len(sequence)} tokens, vLLM reads at most {self._context_length}"
        largest = max(*sequence.prompt_ids, *sequence.response_ids)
        if largest >= self._vocabulary:
            return f"engine_error: token id {largest}, the model has {self._vocabulary}"
        return ""

    def _generate(self, group: Sequence[TokenSequence]) -> list[TokenScores | str]:
        from vllm import SamplingParams, TokensPrompt  # pyright: ignore[reportMissingImports]
        from vllm.v1.engine.exceptions import (  # pyright: ignore[reportMissingImports]
            EngineDeadError,
        )

        if self._llm is None:
            self._start()
        asked = SamplingParams(
            prompt_logprobs=0, flat_logprobs=True, max_tokens=1, temperature=0, detokenize=False
        )
        prompts = [
            TokensPrompt(prompt_token_ids=[*sequence.prompt_ids, *sequence.response_ids])
            for sequence in group
        ]
        try:
            outputs = _while_alive(
                lambda: self._llm.generate(prompts, asked, use_tqdm=False), self._children
            )
        except (EngineDeadError, RuntimeError) as error:
            self.close()
            raise RuntimeError(
                f"vLLM died while it scored {len(group)} sequence(s) of up to"
                f" {max(map(len, group))} tokens ({error}; its log says why). Out of memory:"
                " lower token_budget or vllm.gpu_memory_utilization"
            ) from error
        pairs = zip(group, outputs, strict=True)
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
    """Load weights into vLLM (safetensors only, no code from the repository).

    Args:
        model: As configured; `model.vllm` and `token_budget` say how vLLM is set up.
        identity: The model pinned down.
        num_threads: Compute threads of vLLM's CPU build.

    Raises:
        ModelError: if vLLM is not installed here, or does not start, naming the model.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if model.pool.num_gpus == 0:
        # Its CPU build binds threads to all cores of the machine unless told otherwise.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ["OMP_NUM_THREADS"] = str(num_threads)
    return VllmEngine(model, identity)


def _while_alive(call: Callable[[], Any], children: Sequence[BaseProcess]) -> Any:
    """What the call gives, unless one of the processes it waits for is gone.

    Raises:
        RuntimeError: if one is; the call is left waiting in its thread.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(CHECK_EVERY_S)
        gone = [child for child in children if not child.is_alive()]
        if gone and thread.is_alive():
            raise RuntimeError(f"{gone[0].name} ended with exit code {gone[0].exitcode}")
    if errors:
        raise errors[0]
    return results[0]


def _load(model: ModelConfig, identity: ModelIdentity) -> Any:
    """A `vllm.LLM`; Any because vLLM is not installed where types are checked."""
    try:
        from vllm import LLM  # pyright: ignore[reportMissingImports]
    except (
        ImportError,
        OSError,
        RuntimeError,
    ) as error:  # builds of torch that do not fit together
        raise ModelError(
            f"model {identity.location}: the engine vllm needs vLLM on every node of its pool"
            f' (pip install "rdpt_ray[vllm]"): {error}'
        ) from error
    setup = model.vllm
    try:
        return LLM(
            identity.location,
            revision=identity.revision,
            dtype=model.dtype,
            skip_tokenizer_init=True,
            trust_remote_code=False,
            load_format="safetensors",
            generation_config="vllm",  # none of the repository's sampling defaults
            seed=0,
            tensor_parallel_size=setup.tensor_parallel_size,
            pipeline_parallel_size=setup.pipeline_parallel_size,
            distributed_executor_backend="mp" if setup.num_gpus > 1 else None,
            max_model_len=setup.max_model_len,
            max_num_batched_tokens=model.token_budget,
            max_num_seqs=min(MAX_NUM_SEQS, model.token_budget),
            enable_chunked_prefill=True,
            gpu_memory_utilization=setup.gpu_memory_utilization,
            enforce_eager=setup.enforce_eager,
            # With it, scores were seen to depend on earlier requests (vllm-project/vllm#42019).
            enable_prefix_caching=False,
        )
    except (RuntimeError, ValueError, OSError, TypeError) as error:
        raise ModelError(f"model {identity.location}: vLLM does not start: {error}") from error
