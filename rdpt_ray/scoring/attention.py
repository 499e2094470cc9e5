"""Attention over several traces packed in one row, without a mask over the row.

Each trace attends to itself alone, causally: no [T, T] mask is ever built (transformers builds a dense one
for packed rows under sdpa), and causal kernels are up to twice as fast as masked ones on CPU. Registered
with transformers under `NAME`, so any model that supports its attention interface gets it unchanged.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface

from rdpt_ray.scoring.causal import causal_attention
from rdpt_ray.scoring.long_attention import is_long, long_attention, suits

NAME = "rdpt_packed"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    segments: Sequence[int] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    windows_seen: list[int] | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal self-attention within each segment of a packed row.

    Args:
        module: The attention layer (unused; part of transformers' interface).
        query: [1, H, T, D].
        key: [1, H_kv, K, D], H a multiple of H_kv; K > T in a later chunk of one long trace.
        value: [1, H_kv, K, D].
        attention_mask: Always None: this implementation has no mask function.
        scaling: Factor on the scores; None for D ** -0.5.
        segments: Lengths of the packed traces, summing to T; None for one trace.
        sliding_window: Keys a query may see, itself included; None for all before it.
        softcap: Not supported here.
        s_aux: [H] attention sinks: a logit per head that takes its share and gives nothing.
        windows_seen: Collects the windows of the layers that have one, for the check at load.

    Returns:
        [1, T, H, D] and None (no attention weights).

    Raises:
        NotImplementedError: for soft-capped scores; such models take the plain path.
    """
    if softcap is not None:
        raise NotImplementedError("soft-capped attention scores")
    if windows_seen is not None and sliding_window is not None:
        windows_seen.append(sliding_window)
    lengths = segments or [query.shape[2]]
    attend = _on_gpu if query.is_cuda and query.dtype.itemsize == 2 else _one_by_one
    output, lse = attend(query, key, value, lengths, scaling, sliding_window)
    if s_aux is not None:
        # The sink adds exp(s_aux) to each softmax's denominator.
        output = output * torch.sigmoid(lse - s_aux.float())[..., None].to(output.dtype)
    return output[None], None


def _one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    scale: float | None,
    window: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Segment after segment; [T, H, D] and the scores' log-sum-exp, [T, H]."""
    num_heads, num_tokens = query.shape[1:3]
    output = query.new_empty(num_tokens, num_heads, value.shape[-1])
    lse = torch.empty(num_tokens, num_heads, dtype=torch.float32, device=query.device)
    start = 0
    for length in lengths:
        rows = slice(start, start + length)
        keys = slice(None) if len(lengths) == 1 else rows
        one, one_lse = causal_attention(
            query[:, :, rows], key[:, :, keys], value[:, :, keys], scale=scale, window=window
        )
        output[rows], lse[rows] = one[0].transpose(0, 1), one_lse[0].T
        start += length
    return output, lse


def _on_gpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    scale: float | None,
    window: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in half precision: long segments by cuDNN, runs of shorter ones by one call of flash.

    Which kernel reads a segment depends on its length alone, never on its neighbours.
    """
    if window is not None or not any(map(is_long, lengths)) or not suits(query, key, value):
        return _varlen(query, key, value, lengths, scale, window)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    if len(lengths) == 1:
        return _by_token(long_attention(query, key, value, scale=factor))
    pieces: list[tuple[torch.Tensor, torch.Tensor]] = []
    start = 0
    for long, run in groupby(lengths, key=is_long):
        for group in [[one] for one in run] if long else [list(run)]:
            rows = slice(start, start + sum(group))
            q, k, v = (one[:, :, rows] for one in (query, key, value))
            if long:
                pieces.append(_by_token(long_attention(q, k, v, scale=factor)))
            else:
                pieces.append(_varlen(q, k, v, group, scale, None))
            start = rows.stop
    outputs, lses = zip(*pieces, strict=True)
    return torch.cat(outputs), torch.cat(lses)


def _by_token(attended: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """[1, H, T, D] and [1, H, T] as [T, H, D] and [T, H]."""
    return attended[0][0].transpose(0, 1), attended[1][0].T


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    scale: float | None,
    window: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in one flash kernel that torch ships for CUDA, half precision only.

    The operator itself, not `torch.nn.attention.varlen`: in torch 2.11 that takes no grouped heads and no
    fixed number of splits.
    """
    key_lengths = tuple(lengths) if len(lengths) > 1 else (key.shape[2],)
    width, value_width = query.shape[-1], value.shape[-1]
    if value_width < width:  # the kernel knows one width
        value = pad(value, (0, width - value_width))
    output, lse, *_ = torch.ops.aten._flash_attention_forward(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        _edges(tuple(lengths), query.device),
        _edges(key_lengths, query.device),
        max(lengths),
        max(key_lengths),
        0.0,
        window is None,
        return_debug_mask=False,
        scale=scale,
        window_size_left=-1 if window is None else window - 1,
        window_size_right=-1 if window is None else 0,
        **_ONE_SPLIT,
    )
    return output[..., :value_width], lse.T


def _one_split() -> dict[str, int]:
    """Keeps the order of the kernel's sums the same whatever else is in the batch, where it can be asked."""
    arguments = torch.ops.aten._flash_attention_forward.default._schema.arguments
    return {"num_splits": 1} if any(one.name == "num_splits" for one in arguments) else {}


_ONE_SPLIT = _one_split()


@lru_cache(maxsize=4)
def _edges(lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Where segments begin and end. All layers of a pass share it: a copy to the GPU waits for the GPU."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


AttentionInterface.register(NAME, packed_attention)
