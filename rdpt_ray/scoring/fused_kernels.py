"""The kernels behind `fused.py`, in Triton; imported only where Triton is.

`BLOCK`, `WIDTH` and `HEADS` are powers of two, known when a kernel is built.
"""

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

# ruff: noqa: ANN001, ANN201 (Triton has types of its own)


@triton.jit
def see_tile(logits, stride, targets, start, width, lse, target_logit, BLOCK: tl.constexpr):
    """One row of a tile: its log-sum-exp, joined with what was seen before, and its target."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * stride
    largest = -float("inf")
    total = 0.0
    for first in range(0, width, BLOCK):
        columns = first + tl.arange(0, BLOCK)
        values = tl.load(logits + columns, mask=columns < width, other=-float("inf"))
        values = values.to(tl.float32)
        now = tl.maximum(largest, tl.max(values, axis=0))
        anchor = tl.where(now == -float("inf"), 0.0, now)
        total = total * tl.exp(largest - anchor) + tl.sum(tl.exp(values - anchor), axis=0)
        largest = now
    here = tl.where(largest == -float("inf"), largest, largest + tl.log(total))
    here = tl.where(total == total, here, total)  # a NaN stays one
    before = tl.load(lse + row)
    high, low = tl.maximum(before, here), tl.minimum(before, here)
    both = high + tl.log(1.0 + tl.exp(low - high))
    both = tl.where(low == -float("inf"), high, both)
    both = tl.where((before == before) & (here == here), both, before + here)
    tl.store(lse + row, both)
    place = tl.load(targets + row) - start
    if (place >= 0) & (place < width):
        tl.store(target_logit + row, tl.load(logits + place).to(tl.float32))


@triton.jit
def swiglu(gate, up, out, count, BLOCK: tl.constexpr):
    """BLOCK numbers of silu(gate) * up."""
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = places < count
    x = tl.load(gate + places, mask=inside).to(tl.float32)
    y = tl.load(up + places, mask=inside).to(tl.float32)
    tl.store(out + places, (x * tl.sigmoid(x) * y).to(out.dtype.element_ty), mask=inside)


@triton.jit
def rotated(states, cos, sin, out, num_heads, WIDTH: tl.constexpr, HEADS: tl.constexpr):
    """All heads of one token."""
    token = tl.program_id(0).to(tl.int64)
    half = tl.arange(0, WIDTH // 2)
    heads = tl.arange(0, HEADS)
    angles = token * WIDTH + half
    cos_1 = tl.load(cos + angles).to(tl.float32)[None, :]
    cos_2 = tl.load(cos + angles + WIDTH // 2).to(tl.float32)[None, :]
    sin_1 = tl.load(sin + angles).to(tl.float32)[None, :]
    sin_2 = tl.load(sin + angles + WIDTH // 2).to(tl.float32)[None, :]
    places = (token * num_heads + heads[:, None]) * WIDTH + half[None, :]
    inside = (heads < num_heads)[:, None] & (half >= 0)[None, :]
    x_1 = tl.load(states + places, mask=inside).to(tl.float32)
    x_2 = tl.load(states + places + WIDTH // 2, mask=inside).to(tl.float32)
    kind = out.dtype.element_ty
    tl.store(out + places, (x_1 * cos_1 - x_2 * sin_1).to(kind), mask=inside)
    tl.store(out + places + WIDTH // 2, (x_2 * cos_2 + x_1 * sin_2).to(kind), mask=inside)
