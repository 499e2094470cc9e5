"""Peak memory of a pass beyond the model's own, each in a process of its own.

    python memory.py '{"way": "ours", "shape": {...}, "lengths": [4096], "token_budget": 8192}'

prints the megabytes. The kernel's high-water mark of resident memory is reset (Linux: 5 written to
/proc/self/clear_refs) once the engine stands and has scored something short.
"""

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scoring_parts import Figures
from scoring_parts.ours import TOKEN_BUDGET, scorer
from scoring_parts.peers import one_by_one
from scoring_parts.workload import (
    PROMPT_TOKENS,
    A,
    C,
    Shape,
    build_model,
    draw_traces,
    random_trace,
)

SMALL = replace(A, hidden=128, intermediate=256, layers=2)
SMALL_BUDGET = 4096


def memory(quick: bool) -> Figures:
    """Ours against full logits at 152k, and ours over two vocabularies and two lengths, in MB.

    Args:
        quick: A small model instead of C, and 8k instead of 32k tokens.
    """
    shape = replace(SMALL, vocabulary=C.vocabulary) if quick else C
    traces = [4096] * 2
    ours, full = (extra_mb(way, shape, traces, TOKEN_BUDGET) for way in ("ours", "full_logits"))
    figures: Figures = {
        "peak_memory_vs_full_logits_152k": ours / full,
        "peak_mb_152k": ours,
        "peak_mb_full_logits_152k": full,
    }
    long = 8 if quick else 32
    for vocabulary in (A.vocabulary, C.vocabulary):
        small = replace(SMALL, vocabulary=vocabulary)
        for length in (4, long):
            name = f"peak_mb_small_{round(vocabulary / 1000)}k_vocab_{length}k_tokens"
            figures[name] = extra_mb("ours", small, [length * 1024], SMALL_BUDGET)
    kv_floats = 2 * SMALL.layers * SMALL.kv_heads * SMALL.head_dim * long * 1024
    figures[f"kv_cache_mb_small_{long}k_tokens"] = 4 * kv_floats / 2**20  # part of the above
    return figures


def extra_mb(way: str, shape: Shape, lengths: Sequence[int], token_budget: int) -> float:
    """Megabytes that scoring traces of these lengths takes, in a fresh process.

    Args:
        way: ours or full_logits.
        shape: The model.
        lengths: Tokens of each trace.
        token_budget: Tokens per pass.

    Raises:
        subprocess.CalledProcessError: if that process fails, as it does when memory runs out.
    """
    case = {"way": way, "shape": asdict(shape), "lengths": lengths, "token_budget": token_budget}
    command = [sys.executable, __file__, json.dumps(case)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def _measure(way: str, shape: dict[str, str | int], lengths: list[int], token_budget: int) -> float:
    torch.set_num_threads(1)
    sizes = Shape(**shape)  # pyright: ignore[reportArgumentType]
    model = build_model(sizes)
    score = (
        scorer(model, token_budget=token_budget) if way == "ours" else partial(one_by_one, model)
    )

    draw = np.random.default_rng(0)
    traces = [random_trace(length - PROMPT_TOKENS, sizes.vocabulary, draw) for length in lengths]
    score(draw_traces(1, sizes.vocabulary))
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_mb("VmRSS")
    score(traces)
    return _status_mb("VmHWM") - before


def _status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(key))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(_measure(**json.loads(sys.argv[1])))
