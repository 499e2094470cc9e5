"""From hidden states to log-probabilities without ever holding [tokens, vocabulary].

The vocabulary is walked in tiles with a running log-sum-exp in float32. A tile of 512 x 2048 stays in the
processor's cache, which made it faster than the untiled product at every vocabulary size measured
(32k, 50k, 152k; docs/performance.md), and peak memory does not grow with the vocabulary.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from rdpt_ray.scoring.engine import BRIER_TOP, RANK_CAP, Signal
from rdpt_ray.scoring.prepacked import Product, product

TOKEN_TILE = {"cpu": 512, "cuda": 4096}
VOCABULARY_TILE = {"cpu": 2048, "cuda": 8192}

ANCHORS = 16
"""Columns among which a row's log-sum-exp is read off at the largest, so that nothing cancels."""

MIN_ROWS = 16
"""Rows of a product, at least. Under 4, MKL adds up in another order, and oneDNN for a single one (fp32,
torch 2.13, AMD Zen 4): a trace's numbers would depend on what shares its pass."""

Shape = Callable[[torch.Tensor], torch.Tensor]
"""What a model does to its logits after the linear map, element by element: a scale, a soft cap."""


@dataclass(frozen=True, slots=True)
class HeadScores:
    """R rows of what the head can tell, on the head's device."""

    logprobs: torch.Tensor
    """[R] float32, clamped to <= 0 (rounding can leave 1e-7 above); NaN for a target outside V."""
    ranks: torch.Tensor | None
    """[R] int64, 1 to RANK_CAP."""
    briers: torch.Tensor | None
    """[R] float32."""


class TiledHead:
    """A model's output embedding, cut into tiles of the vocabulary."""

    def __init__(
        self,
        weight_VE: torch.Tensor,
        bias_V: torch.Tensor | None = None,
        *,
        shape: Shape | None = None,
        signals: Collection[Signal] = (),
        packs_weights: bool = True,
    ) -> None:
        """Cut the head; on CPU the tiles are copies, laid out for the product.

        Args:
            weight_VE: [V, E] output embedding.
            bias_V: [V] or None.
            shape: What comes after the linear map, if anything.
            signals: What to measure beside log-probabilities.
            packs_weights: Whether the tiles may be such copies.
        """
        self._weight, self._bias = weight_VE, bias_V
        self._shape: Shape = shape or (lambda logits: logits)
        self._signals = frozenset(signals)
        device = weight_VE.device.type
        self._token_tile = TOKEN_TILE.get(device, TOKEN_TILE["cuda"])
        self._tiles: list[tuple[int, Product]] = []
        width = VOCABULARY_TILE.get(device, VOCABULARY_TILE["cuda"])
        for start in range(0, len(weight_VE), width):
            columns = slice(start, start + width)
            bias = None if bias_V is None else bias_V[columns]
            self._tiles.append((start, product(weight_VE[columns], bias, packs=packs_weights)))

    def __call__(self, hidden_RE: torch.Tensor, targets_R: torch.Tensor) -> HeadScores:
        """Log softmax(logits)[target] of each row, and the signals.

        Args:
            hidden_RE: [R, E] hidden states at the positions that predict the targets, in the weight's dtype.
            targets_R: [R] int64 token ids.

        Returns:
            R rows.
        """
        hidden_RE = hidden_RE.to(self._weight.device)
        targets_R = targets_R.to(self._weight.device)
        tiles = zip(
            hidden_RE.split(self._token_tile), targets_R.split(self._token_tile), strict=True
        )
        rows = [self._rows(hidden, targets) for hidden, targets in tiles]
        return HeadScores(
            torch.cat([one.logprobs for one in rows]),
            _cat([one.ranks for one in rows]),
            _cat([one.briers for one in rows]),
        )

    def _rows(self, hidden: torch.Tensor, targets: torch.Tensor) -> HeadScores:
        num_rows = len(hidden)
        filler = max(0, MIN_ROWS - num_rows)
        hidden, targets = pad(hidden, (0, 0, 0, filler)), pad(targets, (0, filler))
        lse = torch.full((len(hidden),), -torch.inf, device=hidden.device)
        target_logit = torch.full_like(lse, torch.nan)
        rank = _Rank(self._target_logits(hidden, targets)) if "rank" in self._signals else None
        top = hidden.new_empty(len(hidden), 0) if "brier" in self._signals else None
        for start, multiply in self._tiles:
            logits = self._shape(multiply(hidden))
            here = (targets >= start) & (targets < start + logits.shape[1])
            places = targets[here] - start
            target_logit[here] = logits[here, places].float()
            if rank is not None:
                rank.see(logits, here, places)
            if top is not None:
                top = _larger(top, logits)
            lse = torch.logaddexp(lse, row_lse(logits))
        logprobs = (target_logit - lse).clamp_(max=0.0)
        return HeadScores(
            logprobs[:num_rows],
            None if rank is None else rank.capped()[:num_rows],
            None if top is None else brier(top.float(), target_logit)[:num_rows],
        )

    def _target_logits(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Each row's logit of its target, [R] as the tiles round it, ahead of them."""
        known = targets.clamp(max=len(self._weight) - 1)
        logits = (hidden.float() * self._weight[known].float()).sum(dim=1)
        if self._bias is not None:
            logits += self._bias[known].float()
        return self._shape(logits.to(hidden.dtype))


def row_lse(logits_RC: torch.Tensor) -> torch.Tensor:
    """Log-sum-exp of each row in float32, read off torch's fused log-softmax: log-softmax is logit - lse.

    One kernel instead of four passes over the tile (max, subtract, exp, sum): 4 to 7 % of the head's time
    on CPU (docs/performance.md).

    Args:
        logits_RC: [R, C] any float dtype.

    Returns:
        [R] float32.
    """
    normalised = torch.log_softmax(logits_RC, dim=1, dtype=torch.float32)
    anchor = logits_RC[:, :ANCHORS].argmax(dim=1, keepdim=True)
    lse = (logits_RC.gather(1, anchor).float() - normalised.gather(1, anchor)).squeeze(1)
    odd = ~torch.isfinite(lse)
    if odd.any():  # the anchors may be -inf where others are not
        lse[odd] = logits_RC[odd].float().logsumexp(dim=1)
    return lse


class _Rank:
    """Counts the tokens that are likelier than the target, tile by tile (RSR, arXiv 2601.14249, Eq. 7)."""

    def __init__(self, target_logit: torch.Tensor) -> None:
        self._target_logit = target_logit[:, None]
        self._larger = torch.zeros(len(target_logit), device=target_logit.device)

    def see(self, logits: torch.Tensor, here: torch.Tensor, places: torch.Tensor) -> None:
        """Count a tile. The target is not likelier than itself, though its two logits may round apart."""
        larger = logits > self._target_logit
        larger[here, places] = False
        self._larger += larger.sum(dim=1, dtype=torch.int32)

    def capped(self) -> torch.Tensor:
        return (self._larger.to(torch.int64) + 1).clamp_(max=RANK_CAP)


def _larger(top: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """The BRIER_TOP largest of each row, from those of the tiles before and a further tile.

    Only what exceeds a row's smallest so far is looked at: after the first tile that is a handful.
    """
    if top.shape[1] < BRIER_TOP:
        joined = torch.cat([top, logits], dim=1)
        return joined.topk(min(BRIER_TOP, joined.shape[1]), dim=1, sorted=False).values
    exceeds = logits > top.amin(dim=1, keepdim=True)
    rows, columns = exceeds.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(top))
    firsts = counts.cumsum(0) - counts
    places = torch.arange(len(rows), device=rows.device) - firsts[rows]
    width = int(counts.max())
    candidates = torch.full_like(top[:, :1], -torch.inf).repeat(1, width)
    candidates[rows, places] = logits[rows, columns]
    return torch.cat([top, candidates], dim=1).topk(BRIER_TOP, dim=1, sorted=False).values


def brier(top_RK: torch.Tensor, target_logit_R: torch.Tensor) -> torch.Tensor:
    """Brier score of the softmax over the largest logits (LARK, arXiv 2605.30651).

    Args:
        top_RK: [R, K] the K largest logits of each row, in any order.
        target_logit_R: [R] the target's logit; below all of `top_RK` it has probability 0.

    Returns:
        [R] float32: 1 - 2 q(target) + sum of q squared, in [0, 2].
    """
    lse = top_RK.logsumexp(dim=1)
    spread = torch.exp(top_RK - lse[:, None]).square().sum(dim=1)
    inside = target_logit_R >= top_RK.amin(dim=1)
    target = torch.where(inside, torch.exp(target_logit_R - lse), 0.0)
    return 1.0 - 2.0 * target + spread


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


def _cat(pieces: list[torch.Tensor | None]) -> torch.Tensor | None:
    there = [piece for piece in pieces if piece is not None]
    return torch.cat(there) if there else None
