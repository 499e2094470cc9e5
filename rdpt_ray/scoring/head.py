"""From hidden states to log-probabilities without ever holding [tokens, vocabulary].

The vocabulary is walked in tiles with a running log-sum-exp in float32. A tile of 512 x 4096 stays in the
processor's cache, which made it faster than the untiled product at every vocabulary size measured
(32k, 50k, 152k; docs/performance.md), and peak memory does not grow with the vocabulary.
"""

import torch
from torch.nn.functional import linear, pad

TOKEN_TILE = 512
VOCABULARY_TILE = 4096

MIN_ROWS = 16
"""Rows of a product, at least. Under 4, MKL adds up in another order (fp32, torch 2.13, AMD Zen 4), and a
trace's numbers would depend on what shares its pass."""


def tiled_logprobs(
    hidden_RE: torch.Tensor,
    weight_VE: torch.Tensor,
    bias_V: torch.Tensor | None,
    targets_R: torch.Tensor,
) -> torch.Tensor:
    """Log softmax(hidden @ weight.T + bias)[target] for each row.

    Args:
        hidden_RE: [R, E] hidden states at the positions that predict the targets, any float dtype.
        weight_VE: [V, E] output embedding, same dtype.
        bias_V: [V] or None.
        targets_R: [R] int64 token ids.

    Returns:
        [R] float32, clamped to <= 0 (rounding can leave 1e-7 above); NaN for a target outside V.
    """
    tiles = zip(hidden_RE.split(TOKEN_TILE), targets_R.split(TOKEN_TILE), strict=True)
    return torch.cat([_tile_rows(hidden, weight_VE, bias_V, targets) for hidden, targets in tiles])


def _tile_rows(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> torch.Tensor:
    num_rows = len(hidden)
    filler = max(0, MIN_ROWS - num_rows)
    hidden, targets = pad(hidden, (0, 0, 0, filler)), pad(targets, (0, filler))
    maximum = torch.full((len(hidden),), -torch.inf, dtype=torch.float32, device=hidden.device)
    total = torch.zeros_like(maximum)
    target_logit = torch.full_like(maximum, torch.nan)
    for start in range(0, len(weight), VOCABULARY_TILE):
        columns = slice(start, start + VOCABULARY_TILE)
        logits = linear(hidden, weight[columns], None if bias is None else bias[columns]).float()
        here = (targets >= start) & (targets < start + logits.shape[1])
        target_logit[here] = logits[here, targets[here] - start]
        higher = torch.maximum(maximum, logits.amax(dim=1))
        total = total * torch.exp(maximum - higher)
        total += logits.sub_(higher[:, None]).exp_().sum(dim=1)
        maximum = higher
    return (target_logit - maximum - torch.log(total)).clamp_(max=0.0)[:num_rows]


def plain_logprobs(logits_RV: torch.Tensor, targets_R: torch.Tensor) -> torch.Tensor:
    """The same from ready logits, for models whose head is more than one linear map.

    Args:
        logits_RV: [R, V] any float dtype.
        targets_R: [R] int64 token ids.

    Returns:
        [R] float32, clamped to <= 0.
    """
    logits = logits_RV.float()
    target_logit = logits.gather(1, targets_R[:, None]).squeeze(1)
    return (target_logit - logits.logsumexp(dim=1)).clamp_(max=0.0)
