"""Causal attention of one trace, put together from kernels that also say their log-sum-exp.

Two parts of the keys can be attended to apart and the results merged exactly, weighted by their
log-sum-exps. That gives what torch's own causal kernel does not: a trace longer than a pass in chunks over
a cache, attention sinks, and, on CPU, a causal triangle without the half of each block that the kernel
computes and throws away (40 -> 55 GF/s at 512 tokens; docs/performance.md).

Shapes as in the room's legend; L is the length of the queries, K of the keys, K - L of what was read before.
"""

import torch
from torch.nn.functional import pad

Attended = tuple[torch.Tensor, torch.Tensor]
"""Output [1, H, L, D] and log-sum-exp of the scores [1, H, L], float32."""

BLOCK = 64
"""Queries of a block of the triangle. Smaller ones fill the product's tiles no longer."""
BLOCKWISE_BELOW = 1536
"""From here on the kernel's own waste is under what merging costs (AMD Zen 4, torch 2.13)."""
PLAIN_ROWS = 256
"""Queries of a block where attention is computed by its definition; bounds the block's scores."""
WINDOW_ROWS = 512
"""Queries of a block under a sliding window; bounds the block's mask."""


def causal_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float | None = None,
    window: int | None = None,
) -> Attended:
    """Attention of the last L positions of a trace to all K >= L positions up to their own.

    Args:
        query: [1, H, L, D].
        key: [1, H_kv, K, D], H a multiple of H_kv.
        value: [1, H_kv, K, D_v].
        scale: Factor on the scores; None for D ** -0.5.
        window: Keys a query may see, itself included; None for all before it.

    Returns:
        [1, H, L, D_v] and [1, H, L].
    """
    width, value_width = query.shape[-1], value.shape[-1]
    factor = width**-0.5 if scale is None else scale
    if width != value_width:  # the kernel knows one width; zeros change neither scores nor values
        query, key = (pad(one, (0, max(0, value_width - width))) for one in (query, key))
        value = pad(value, (0, max(0, width - value_width)))
    past = key.shape[2] - query.shape[2]
    if window is not None and window < key.shape[2]:
        output, lse = _windowed(query, key, value, factor, window)
    else:
        output, lse = _triangle(query, key[:, :, past:], value[:, :, past:], factor)
        if past:
            before = attend(query, key[:, :, :past], value[:, :, :past], scale=factor)
            output, lse = merge(before, (output, lse))
    return output[..., :value_width], lse


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float,
    causal: bool = False,
    bias: torch.Tensor | None = None,
) -> Attended:
    """One call of the kernel: every query to every key, or causally, or with a bias [L, K] on the scores."""
    if query.device.type == "cpu" and query.dtype != torch.float64:
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return flash(query, key, value, 0.0, causal, attn_mask=bias, scale=scale)
    if query.is_cuda and query.dtype == torch.float32 and bias is None and query.shape[-1] % 4 == 0:
        efficient = torch.ops.aten._scaled_dot_product_efficient_attention
        key, value = (_for_all_heads(one, query) for one in (key, value))
        output, lse, *_ = efficient(query, key, value, None, True, 0.0, causal, scale=scale)
        return output, lse[..., : query.shape[2]]  # it rounds the length up
    return _attend_plainly(query, key, value, scale, causal, bias)


def merge(one: Attended, other: Attended) -> Attended:
    """Attention to two sets of keys, from attention to each."""
    (output, lse), (other_output, other_lse) = one, other
    weight = torch.sigmoid(other_lse - lse)[..., None].to(output.dtype)
    return torch.lerp(output, other_output, weight), torch.logaddexp(lse, other_lse)


def _triangle(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> Attended:
    """Causal attention of a trace to itself, L = K. The cut depends on L alone, never on neighbours."""
    length = query.shape[2]
    if query.is_cuda or not 2 * BLOCK <= length < BLOCKWISE_BELOW:
        return attend(query, key, value, scale=scale, causal=True)
    outputs: list[torch.Tensor] = []
    lses: list[torch.Tensor] = []
    for start in range(0, length, BLOCK):
        rows = slice(start, min(start + BLOCK, length))
        block = query[:, :, rows]
        here = attend(block, key[:, :, rows], value[:, :, rows], scale=scale, causal=True)
        if start:
            before = attend(block, key[:, :, :start], value[:, :, :start], scale=scale)
            here = merge(before, here)
        outputs.append(here[0])
        lses.append(here[1])
    return torch.cat(outputs, dim=2), torch.cat(lses, dim=2)


def _windowed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int
) -> Attended:
    """Each query sees the last `window` positions up to its own."""
    length, num_keys = query.shape[2], key.shape[2]
    past = num_keys - length
    outputs: list[torch.Tensor] = []
    lses: list[torch.Tensor] = []
    for start in range(0, length, WINDOW_ROWS):
        end = min(start + WINDOW_ROWS, length)
        first = max(0, past + start - window + 1)
        distance = (
            torch.arange(past + start, past + end, device=query.device)[:, None]
            - torch.arange(first, past + end, device=query.device)[None, :]
        )
        hidden = (distance < 0) | (distance >= window)
        bias = torch.zeros(hidden.shape, dtype=query.dtype, device=query.device)
        keys = slice(first, past + end)
        output, lse = attend(
            query[:, :, start:end],
            key[:, :, keys],
            value[:, :, keys],
            scale=scale,
            bias=bias.masked_fill_(hidden, -torch.inf),
        )
        outputs.append(output)
        lses.append(lse)
    return torch.cat(outputs, dim=2), torch.cat(lses, dim=2)


def _attend_plainly(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    causal: bool,
    bias: torch.Tensor | None,
) -> Attended:
    """The definition, for devices and types whose kernel keeps its log-sum-exp to itself."""
    key, value = (_for_all_heads(one, query) for one in (key, value))
    outputs: list[torch.Tensor] = []
    lses: list[torch.Tensor] = []
    for start in range(0, query.shape[2], PLAIN_ROWS):
        rows = slice(start, start + PLAIN_ROWS)
        scores = (query[:, :, rows] @ key.mT).to(_accumulator(query.dtype)) * scale
        if causal:
            later = torch.ones_like(scores[0, 0], dtype=torch.bool).triu_(start + 1)
            scores.masked_fill_(later, -torch.inf)
        if bias is not None:
            scores += bias[rows]
        lse = scores.logsumexp(dim=-1)
        outputs.append(torch.exp(scores - lse[..., None]).to(value.dtype) @ value)
        lses.append(lse)
    return torch.cat(outputs, dim=2), torch.cat(lses, dim=2)


def _for_all_heads(one: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Keys or values [1, H_kv, K, D], once for each of the queries' H heads."""
    repeats = query.shape[1] // one.shape[1]
    return one if repeats == 1 else one.repeat_interleave(repeats, dim=1)


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
