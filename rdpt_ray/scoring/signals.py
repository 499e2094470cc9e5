"""Ranks and Brier scores: what the head tells beside log-probabilities, for the policies that need it.

Both look only at the largest logits of a row, so those are kept while the vocabulary goes by in tiles.
"""

from collections.abc import Collection

import numpy as np
import torch

from rdpt_ray.scoring.engine import BRIER_TOP, RANK_CAP, Signal

CUT_ABOVE = 3
"""Times as many logits as are wanted of a row are gathered before the smaller ones are dropped."""


def num_largest(signals: Collection[Signal]) -> int:
    """How many of a row's largest logits the signals look at; 0 without any."""
    return max(({"rank": RANK_CAP, "brier": BRIER_TOP}[name] for name in signals), default=0)


class Largest:
    """The largest logits of each row, seen tile by tile.

    Only what exceeds the `count`-th largest of a row so far is looked at, in slices that begin narrow: once
    there are `count`, that is a handful, where a plain top-k of every tile would cost as much as its
    product. The handfuls are gathered and cut down now and then, since a cut costs more than they do.
    """

    def __init__(self, num_rows: int, count: int, device: torch.device) -> None:
        """Of how many rows, and how many of each are wanted."""
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
