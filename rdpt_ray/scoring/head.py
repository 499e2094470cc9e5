"""From hidden states to log-probabilities without ever holding [tokens, vocabulary].

The vocabulary is walked in tiles with a running log-sum-exp in float32. A tile of 512 x 2048 stays in the
processor's cache, which made it faster than the untiled product at every vocabulary size measured
(32k, 50k, 152k; docs/performance.md), and peak memory does not grow with the vocabulary.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad

from rdpt_ray.scoring.engine import BRIER_TOP, RANK_CAP, Signal
from rdpt_ray.scoring.prepacked import Product, product

TOKEN_TILE = {"cpu": 512, "cuda": 4096}
VOCABULARY_TILE = {"cpu": 2048, "cuda": 8192}

CUT_ABOVE = 3
"""Times as many logits as are wanted of a row are gathered before the smaller ones are dropped."""

ANCHORS = 16
"""Columns among which a row's log-sum-exp is read off at the largest, ..."""
ANCHOR_DEPTH = -64.0
"""... unless even that lies so far below the row's sum that the difference would cancel."""

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
        self._num_top = (
            max({"rank": RANK_CAP, "brier": BRIER_TOP}[name] for name in signals) if signals else 0
        )
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
        largest = _Largest(len(hidden), self._num_top, hidden.device)
        for start, multiply in self._tiles:
            logits = self._shape(multiply(hidden))
            here = (targets >= start) & (targets < start + logits.shape[1])
            target_logit[here] = logits[here, targets[here] - start].float()
            lse = torch.logaddexp(lse, row_lse(logits))
            if self._num_top:
                largest.see(logits.float())  # float32 is compared twice as fast
        logprobs = (target_logit - lse).clamp_(max=0.0)[:num_rows]
        top, target_logit = largest.all()[:num_rows], target_logit[:num_rows]
        return HeadScores(
            logprobs,
            rank(top, target_logit) if "rank" in self._signals else None,
            brier(top, target_logit) if "brier" in self._signals else None,
        )


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
    below = normalised.gather(1, anchor).squeeze(1)
    lse = logits_RC.gather(1, anchor).squeeze(1).float() - below
    odd = ~(below > ANCHOR_DEPTH)  # a NaN is odd too
    if odd.any():
        lse[odd] = logits_RC[odd].float().logsumexp(dim=1)
    return lse


class _Largest:
    """The largest logits of each row, seen tile by tile.

    Only what exceeds the `count`-th largest of a row so far is looked at, in slices that begin narrow: once
    there are `count`, that is a handful, where a plain top-k of every tile would cost as much as its
    product. The handfuls are gathered and cut down now and then, since a cut costs more than they do.
    """

    def __init__(self, num_rows: int, count: int, device: torch.device) -> None:
        self._count = count
        self._kept = torch.empty(num_rows, 0, device=device)
        self._floor: torch.Tensor | None = None

    def see(self, logits_RC: torch.Tensor) -> None:
        """Take in a tile, float32."""
        start, width = 0, logits_RC.shape[1] if self._floor is not None else 2 * self._count
        while start < logits_RC.shape[1]:
            piece = logits_RC[:, start : start + width]
            if self._floor is not None:
                piece = _exceeding(self._floor, piece)
            self._kept = torch.cat([self._kept, piece], dim=1)
            if self._floor is None or self._kept.shape[1] > CUT_ABOVE * self._count:
                self._cut()
            start, width = start + width, 2 * width

    def _cut(self) -> None:
        if self._kept.shape[1] >= self._count:
            self._kept = self._kept.topk(self._count, dim=1, sorted=False).values
            self._floor = self._kept.amin(dim=1, keepdim=True)

    def all(self) -> torch.Tensor:
        """[R, at least `count`, or the whole vocabulary] in no order: the largest, and some others."""
        return self._kept


def _exceeding(floor_R1: torch.Tensor, piece_RC: torch.Tensor) -> torch.Tensor:
    """What is larger than the row's floor, filled up with -inf: [R, most in a row]."""
    exceeds = piece_RC > floor_R1
    if exceeds.device.type == "cpu":  # three times as fast as torch's own nonzero
        places = torch.from_numpy(np.flatnonzero(exceeds.numpy()))
    else:
        places = exceeds.flatten().nonzero().squeeze(1)
    rows, columns = places // piece_RC.shape[1], places % piece_RC.shape[1]
    counts = torch.bincount(rows, minlength=len(floor_R1))
    firsts = counts.cumsum(0) - counts
    candidates = piece_RC.new_full((len(floor_R1), int(counts.max())), -torch.inf)
    candidates[rows, torch.arange(len(rows), device=rows.device) - firsts[rows]] = piece_RC[
        rows, columns
    ]
    return candidates


def rank(top_RK: torch.Tensor, target_logit_R: torch.Tensor) -> torch.Tensor:
    """One more than the number of tokens that are likelier than the target (RSR, arXiv 2601.14249, Eq. 7).

    Args:
        top_RK: [R, K] logits of each row, the RANK_CAP largest or the whole vocabulary among them.
        target_logit_R: [R] the target's logit.

    Returns:
        [R] int64, 1 to RANK_CAP; tokens that are equally likely share the better rank.
    """
    return ((top_RK > target_logit_R[:, None]).sum(dim=1) + 1).clamp_(max=RANK_CAP)


def brier(top_RK: torch.Tensor, target_logit_R: torch.Tensor) -> torch.Tensor:
    """Brier score of the softmax over the largest logits (LARK, arXiv 2605.30651).

    Args:
        top_RK: [R, K] logits of each row in any order, the BRIER_TOP largest or the whole vocabulary
            among them.
        target_logit_R: [R] the target's logit; below the BRIER_TOP largest it has probability 0.

    Returns:
        [R] float32: 1 - 2 q(target) + sum of q squared, in [0, 2].
    """
    # Sorted, because the order in which a sum adds up decides its last bit, and that of `top_RK` depends on
    # what else was in the tile.
    top_RK = top_RK.topk(min(BRIER_TOP, top_RK.shape[1]), dim=1, sorted=True).values
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
