"""The card, what it reaches, and a clock that waits for it."""

import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch
import transformers
from scoring_parts import Figures

Answer = TypeVar("Answer")

SIDE = 8192
"""Of the square matrices whose product says how fast the card multiplies."""


def card() -> Figures:
    """What the figures were measured on."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "gpu_gib": torch.cuda.get_device_properties(0).total_memory / 2**30,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "gemm_tflops_bf16": product_rate() / 1e12,
        "copy_tb_per_s": _copy_rate() / 1e12,
    }


@lru_cache(maxsize=1)
def product_rate() -> float:
    """FLOP/s of a large square product of random bfloat16 numbers."""
    one, other = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * SIDE**3 / median_s(lambda: one @ other, calls=10)


def _copy_rate() -> float:
    """Bytes per second of a large copy on the card, read and written."""
    source = torch.randn(2**30, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_s(lambda: target.copy_(source), calls=5)


@torch.inference_mode()
def median_s(call: Callable[[], object], calls: int, rounds: int = 5) -> float:
    """Seconds of one call on the card: the median of rounds of some calls, after two that do not count."""
    for _ in range(2):
        call()
    seconds: list[float] = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1000 / calls)
    return statistics.median(seconds)


def wall_s(call: Callable[[], Answer]) -> tuple[float, Answer]:
    """Seconds until a call and all that it asked of the card are done, and what it gave."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    answer = call()
    torch.cuda.synchronize()
    return time.perf_counter() - begun, answer
