"""vLLM in its own environment, scoring when told; started by `vllm_peer`, imports nothing of ours.

    python vllm_worker.py FOLDER DTYPE THREADS EAGER LONGEST MEMORY

Reads one JSON list of token-id lists per line, writes one JSON object per line: CPU and wall seconds, and
each trace's prompt log-probabilities (the first token has none). The first line written says it is ready.
"""

import json
import os
import sys
import time
from typing import Any

folder, dtype, threads, eager, longest, memory = sys.argv[1:7]
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # vLLM logs to stdout

os.environ |= {
    "OMP_NUM_THREADS": threads,
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # pinned threads would suffer from a neighbour on their core
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process, so that its CPU time is all there is
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}

import torch  # noqa: E402
import vllm  # noqa: E402  # pyright: ignore[reportMissingImports]

torch.set_num_threads(int(threads))
engine = vllm.LLM(
    folder,
    dtype=dtype,
    skip_tokenizer_init=True,
    enable_prefix_caching=False,  # it is bypassed for prompt log-probabilities anyhow
    max_model_len=int(longest),
    gpu_memory_utilization=float(memory),
    max_num_batched_tokens=8192,
    enforce_eager=eager == "1",
    disable_log_stats=True,
)
wanted = vllm.SamplingParams(
    max_tokens=1, prompt_logprobs=0, detokenize=False, flat_logprobs=True, temperature=0.0
)


def answer(**fields: Any) -> None:
    """One line to whoever started this."""
    print(json.dumps(fields), file=answers, flush=True)


answer(ready=vllm.__version__)
for line in sys.stdin:
    traces = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    outputs = engine.generate([{"prompt_token_ids": ids} for ids in traces], wanted, use_tqdm=False)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    logprobs = [
        [next(iter(entry.values())).logprob for entry in output.prompt_logprobs[1:]]
        for output in outputs
    ]
    answer(cpu_s=cpu, wall_s=wall, logprobs=logprobs)
