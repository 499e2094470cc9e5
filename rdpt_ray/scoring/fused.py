"""Element-wise steps in one kernel each, for GPUs: there every pass over a tensor waits for memory.

On an H100, transformers' rotation, activation and norms, and torch's log-softmax, took half of the card's
time with a model of 1.7 billion parameters, the products the other half (docs/performance.md). Written in
Triton, which torch for CUDA brings along; where it is missing or finds no C compiler, `is_available`
says so and the plain operations are used. Whatever replaces a model's own step is compared with it first
(`faster.py`).

All arithmetic is in float32, and a row's result depends on no other row.
"""

import logging
from functools import lru_cache
from importlib.util import find_spec
from subprocess import SubprocessError
from typing import Any

import torch

logger = logging.getLogger(__name__)

BLOCK = 4096
"""Numbers that a program holds at once."""


@lru_cache(maxsize=8)
def is_available(device: torch.device) -> bool:
    """Whether kernels can be built and run there; tried once."""
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    try:
        rows = torch.zeros(2, 8, device=device)
        targets = torch.ones(2, dtype=torch.int64, device=device)
        lse = torch.full((2,), -torch.inf, device=device)
        see_tile(rows, targets, 0, lse, torch.zeros(2, device=device))
        swiglu(rows, rows)
        heads = torch.ones(1, 2, 2, 8, device=device).transpose(1, 2)
        rotated(heads, heads[:, 0].contiguous(), heads[:, 0].contiguous())
        return bool((lse - torch.full_like(lse, 8.0).log()).abs().max() < 1e-5)
    except _faults() as error:
        logger.warning("no fused kernels on this machine, scoring is slower: %s", error)
        return False


def _faults() -> tuple[type[Exception], ...]:
    """What Triton raises where it cannot build: no compiler, no driver, a card that it does not know."""
    known = (RuntimeError, OSError, ValueError, ImportError, AssertionError, SubprocessError)
    try:
        from triton.errors import TritonError  # pyright: ignore[reportMissingImports]
    except ImportError:
        return known
    return (*known, TritonError)


def see_tile(
    logits_RC: torch.Tensor,
    targets_R: torch.Tensor,
    start: int,
    lse_R: torch.Tensor,
    target_logit_R: torch.Tensor,
) -> None:
    """Take a tile of the vocabulary into the running log-sum-exp, and the targets that lie in it.

    Args:
        logits_RC: [R, C], rows contiguous, any float dtype.
        targets_R: [R] int64, in the whole vocabulary.
        start: The tile's first column there.
        lse_R: [R] float32, updated in place; -inf before the first tile.
        target_logit_R: [R] float32, written where the target is in the tile.
    """
    num_rows, width = logits_RC.shape
    with torch.cuda.device_of(logits_RC):
        _kernels().see_tile[(num_rows,)](
            logits_RC,
            logits_RC.stride(0),
            targets_R,
            start,
            width,
            lse_R,
            target_logit_R,
            BLOCK=BLOCK,
            num_warps=8,
        )


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up, both contiguous and of one shape."""
    out = torch.empty_like(gate)
    count = gate.numel()
    with torch.cuda.device_of(gate):
        _kernels().swiglu[(-(-count // BLOCK),)](gate, up, out, count, BLOCK=BLOCK, num_warps=8)
    return out


def rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions, by halves: [x1 cos - x2 sin, x2 cos + x1 sin].

    Args:
        states: [1, H, T, D], a transposed view of contiguous [1, T, H, D]; D a power of two.
        cos: [1, T, D], contiguous.
        sin: [1, T, D], contiguous.

    Returns:
        [1, H, T, D], laid out as it came.
    """
    _, num_heads, length, width = states.shape
    out = torch.empty_like(states)
    with torch.cuda.device_of(states):
        _kernels().rotated[(length,)](
            states,
            cos,
            sin,
            out,
            num_heads,
            WIDTH=width,
            HEADS=_power_above(num_heads),
            num_warps=4,
        )
    return out


def _power_above(count: int) -> int:
    """The smallest power of two that is not below."""
    return 1 << (count - 1).bit_length()


def _kernels() -> Any:
    from rdpt_ray.scoring import fused_kernels

    return fused_kernels
