"""vLLM in this process: started, asked, and started again if it dies.

Its own client waits for ever for an engine process that was killed, as the kernel does when memory is short.
"""

import io
import os
from collections.abc import Callable, Sequence
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.identity import ModelIdentity

MAX_NUM_SEQS = 64
"""Sequences in one of its batches."""

CHECK_EVERY_S = 1.0
"""How often to look whether vLLM's processes live (0.32, `SyncMPClient.get_output`)."""


class VllmHost:
    """One model in vLLM."""

    def __init__(self, model: ModelConfig, identity: ModelIdentity, *, num_threads: int) -> None:
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
        self._model, self._identity = model, identity
        self._children: list[BaseProcess] = []
        self._llm: Any = None
        self._start()
        config = self._llm.llm_engine.model_config
        self.vocabulary: int = config.get_vocab_size()
        """Token ids that it takes."""
        self.max_model_len: int = config.max_model_len
        """Longest sequence, generated tokens included."""

    def generate(
        self,
        prompts: Sequence[list[int]],
        params: Any,
        *,
        told: Callable[[], None] | None = None,
    ) -> list[Any]:
        """What `vllm.LLM.generate` gives to prompts of token ids.

        Args:
            prompts: Token ids.
            params: A `SamplingParams`, or one for each prompt.
            told: Called as requests are finished.

        Raises:
            RuntimeError: if vLLM died of it; the next call starts it again.
            ModelError: if it does not start again.
        """
        from vllm import TokensPrompt  # pyright: ignore[reportMissingImports]
        from vllm.v1.engine.exceptions import (  # pyright: ignore[reportMissingImports]
            EngineDeadError,
        )

        if self._llm is None:
            self._start()
        asked = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        bar: Any = False if told is None else _bar(told)
        try:
            return _while_alive(
                lambda: self._llm.generate(asked, params, use_tqdm=bar), self._children
            )
        except (EngineDeadError, RuntimeError) as error:
            self.close()
            raise RuntimeError(
                f"vLLM died at work on {len(prompts)} sequence(s) of up to"
                f" {max(map(len, prompts))} tokens ({error}; its log says why). Out of memory:"
                " lower token_budget or vllm.gpu_memory_utilization"
            ) from error

    def close(self) -> None:
        """End vLLM's processes; the next call starts them again."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _start(self) -> None:
        before = active_children()
        self._llm = _load(self._model, self._identity)
        self._children = [child for child in active_children() if child not in before]


def _bar(told: Callable[[], None]) -> Callable[..., Any]:
    """A progress bar for vLLM that shows nothing and says that there is progress."""
    from tqdm import tqdm

    class Told(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            told()
            return super().update(n)

    return Told


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
