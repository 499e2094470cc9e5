"""From hidden states to log-probabilities without ever holding [tokens, vocabulary].

The vocabulary is walked in tiles with a running log-sum-exp in float32. A tile of 512 x 2048 stays in the
processor's cache, which made it faster than the untiled product at every vocabulary size measured
(32k, 50k, 152k; docs/performance.md), and peak memory does not grow with the vocabulary.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from rdpt_ray.scoring import fused
from rdpt_ray.scoring.engine import Signal
from rdpt_ray.scoring.prepacked import Product, product
from rdpt_ray.scoring.signals import Largest, brier, num_largest, rank

TOKEN_TILE = {"cpu": 512, "cuda": 4096}
VOCABULARY_TILE = {"cpu": 2048, "cuda": 8192}

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
        self._num_top = num_largest(signals)
        device = weight_VE.device.type
        self._is_fused = fused.is_available(weight_VE.device)
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
        largest = Largest(len(hidden), self._num_top, hidden.device)
        for start, multiply in self._tiles:
            logits = self._shape(multiply(hidden))
            if self._is_fused:
                fused.see_tile(logits, targets, start, lse, target_logit)
            else:
                lse, target_logit = _seen(logits, targets, start, lse, target_logit)
            if self._num_top:
                largest.see(logits.float())  # float32 is compared twice as fast
        logprobs = (target_logit - lse).clamp_(max=0.0)[:num_rows]
        top, target_logit = largest.all()[:num_rows], target_logit[:num_rows]
        return HeadScores(
            logprobs,
            rank(top, target_logit) if "rank" in self._signals else None,
            brier(top, target_logit) if "brier" in self._signals else None,
        )


def _seen(
    logits_RC: torch.Tensor,
    targets_R: torch.Tensor,
    start: int,
    lse_R: torch.Tensor,
    target_logit_R: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The running log-sum-exp and the targets' logits after one more tile; see `fused.see_tile`."""
    here = (targets_R >= start) & (targets_R < start + logits_RC.shape[1])
    target_logit_R[here] = logits_RC[here, targets_R[here] - start].float()
    return torch.logaddexp(lse_R, row_lse(logits_RC)), target_logit_R


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
