"""Causal attention of long traces by cuDNN, on the GPUs where it is faster than the flash kernel of torch.

On an H100, 32 heads of 128 over 8: 510 against 268 TFLOP/s at 4,096 tokens, 571 against 363 at 30,000
(docs/performance.md). cuDNN plans anew for every shape it has not seen, so lengths are filled up to multiples
of `STEP`: under a causal mask, keys at the end change nothing before them.
"""

import logging
from functools import lru_cache

import torch
from torch.nn.functional import pad

from rdpt_ray.scoring.causal import Attended, causal_attention, merge

logger = logging.getLogger(__name__)

LONG_FROM = 2048
"""Tokens of the shortest segment for which it pays."""
STEP = 512

HOPPER = (9, 0)
TOLERANCE = 2e-2
"""Largest difference from float32 attention, on random numbers, that half precision explains."""


def is_long(length: int) -> bool:
    """Whether a segment is worth it."""
    return length >= LONG_FROM


def suits(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether this GPU's cuDNN was seen to do it, for such heads.

    Args:
        query: [1, H, L, D].
        key: [1, H_kv, K, D].
        value: [1, H_kv, K, D_v].
    """
    if query.shape[-1] != value.shape[-1] or query.shape[-1] % 8 or query.shape[-1] > 128:
        return False
    return _works(query.device, query.dtype, query.shape[1], key.shape[1], query.shape[-1])


def long_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float
) -> Attended:
    """Attention of the last L positions of a trace to all K >= L up to their own; see `causal_attention`.

    Returns:
        [1, H, L, D] and [1, H, L] float32.
    """
    length, past = query.shape[2], key.shape[2] - query.shape[2]
    filled = _filled(query)
    here = (_filled(one[:, :, past:]) for one in (key, value))
    attended = _cudnn(filled, *here, causal=True, scale=scale)
    if past:
        # Not causal and of exactly `past` keys: chunks begin at multiples of the budget, so shapes repeat.
        before = _cudnn(filled, key[:, :, :past], value[:, :, :past], causal=False, scale=scale)
        attended = merge(before, attended)
    return attended[0][:, :, :length], attended[1][:, :, :length]


def _filled(states: torch.Tensor) -> torch.Tensor:
    """[1, H, L, D] with zeros up to a multiple of `STEP`, tokens outermost in memory as they came."""
    missing = -states.shape[2] % STEP
    if not missing:
        return states
    return pad(states.transpose(1, 2), (0, 0, 0, 0, 0, missing)).transpose(1, 2)


def _cudnn(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, scale: float
) -> Attended:
    output, lse, *_ = torch.ops.aten._scaled_dot_product_cudnn_attention(
        query, key, value, None, True, 0.0, causal, scale=scale
    )
    return output, lse.reshape(output.shape[:3])


@lru_cache(maxsize=32)
@torch.inference_mode()
def _works(
    device: torch.device, dtype: torch.dtype, num_heads: int, num_kv_heads: int, width: int
) -> bool:
    """Compared once with attention in float32: a chunk over a past, and its log-sum-exp."""
    if torch.cuda.get_device_capability(device) < HOPPER:
        return False
    past, length = 192, 200
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, count, width, generator=generator).to(device, dtype)
        for heads, count in (
            (num_heads, length),
            (num_kv_heads, past + length),
            (num_kv_heads, past + length),
        )
    )
    try:
        output, lse = long_attention(query, key, value, scale=width**-0.5)
    except torch.OutOfMemoryError:  # which says nothing of cuDNN
        raise
    except RuntimeError as error:
        logger.warning("cuDNN does not attend here, long traces are slower: %s", error)
        return False
    expected, expected_lse = causal_attention(query.float(), key.float(), value.float())
    off = max(
        float((output.float() - expected).abs().max()),
        float((lse - expected_lse).abs().max()),
    )
    if not off <= TOLERANCE:
        logger.warning("cuDNN differs by %.3g, long traces are slower", off)
    return off <= TOLERANCE
