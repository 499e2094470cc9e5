"""The machine's best rate of matrix products, on a model's own shapes."""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

from rdpt_ray.scoring.engine import TokenSequence
from scoring_parts.workload import Shape, product_flops

ROWS = (512, 2048)
"""Rows of the timed products: a tile of the head, and about a trace."""
VOCABULARY_TILE = 4096
"""Columns of the timed head."""
TRIALS = 3


def peak_rate(
    shape: Shape, traces: list[TokenSequence], dtype: torch.dtype, trial_s: float
) -> float:
    """FLOP/s of CPU time if scoring were nothing but its matrix products, each at its best rate.

    Every kind of product (query and output, key and value, gate and up, down, head) is timed with torch's
    own `linear` and with a oneDNN weight packed beforehand, at two heights, and the best trial counts; then
    the kinds are weighted by their FLOPs. The head is timed as a tile of the vocabulary: the whole product
    is slower, for want of cache.

    Args:
        shape: The model.
        traces: What is scored; decides the weights.
        dtype: Of the products.
        trial_s: Seconds per trial.
    """
    flops = product_flops(shape, traces)
    seconds = sum(count / _best(pair, dtype, trial_s) for pair, count in flops.items())
    return sum(flops.values()) / seconds


def _best(pair: tuple[int, int], dtype: torch.dtype, trial_s: float) -> float:
    inputs, outputs = pair[0], min(pair[1], VOCABULARY_TILE)
    weight = torch.randn(outputs, inputs, dtype=dtype)
    rates: list[float] = []
    for rows in ROWS:
        x = torch.randn(rows, inputs, dtype=dtype)
        for product in (_plain(x, weight), _packed(x, weight)):
            rates.append(2 * rows * inputs * outputs / _seconds(product, trial_s))
    return max(rates)


def _plain(x: torch.Tensor, weight: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: linear(x, weight)


@torch.inference_mode()
def _packed(x: torch.Tensor, weight: torch.Tensor) -> Callable[[], torch.Tensor]:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(x))
    pointwise = torch.ops.mkldnn._linear_pointwise
    return lambda: pointwise(x, packed, None, "none", [], "")


@torch.inference_mode()
def _seconds(product: Callable[[], torch.Tensor], trial_s: float) -> float:
    """CPU seconds of one call: the best of `TRIALS` trials."""
    product()
    best = float("inf")
    for _ in range(TRIALS):
        calls, begun = 0, time.process_time()
        while (spent := time.process_time() - begun) < trial_s:
            product()
            calls += 1
        best = min(best, spent / calls)
    return best
