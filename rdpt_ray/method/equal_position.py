"""How a class goes with right answers at equal position: one number over all positions, with an interval.

Right answers are often shorter, and classes are not spread evenly along a trace, so shares over whole traces
would mix up position with correctness. Here every position is a stratum of its own, a 2 x 2 table of class or
not against right or wrong. With n1 right and n0 wrong traces at a position and shares p1 and p0 of the class,

    w = n1 n0 / (n1 + n0)
    difference = sum(w (p1 - p0)) / sum(w)
    r = sum(w (p1 - p0)) / sqrt(sum(w) sum(n p (1 - p)))        n = n1 + n0, p the share among both

The difference is Mantel and Haenszel's, of shares (Greenland and Robins, Biometrics 41, 1985); r is Pearson's
within strata, that is, of the two less their position's means (for two yes-or-no variables: phi). The
difference is also the slope of a least-squares fit with a constant for every position. A late position that
few traces reach weighs little, and one that only right or only wrong ones reach counts for nothing.

Sentences of one trace are alike, so the textbook's variance would be far too small: the intervals are those
of drawing the prompts again (`method.resampling`). A correlation still: it is not adjusted for the prompt,
and a hard prompt can bring both more of a class and more wrong answers (`method.within_prompts`).
"""

from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.correctness_intervals import classes_of, num_positions
from rdpt_ray.method.resampling import PERCENTILES, Counts, Resampled, resample
from rdpt_ray.method.score_columns import CORRECT, WRONG


@dataclass(frozen=True, slots=True)
class Association:
    """One class and right answers, at equal position; intervals are of 95 %."""

    name: str
    difference: float
    """Share in right traces less that in wrong ones."""
    low: float
    high: float
    r: float | None
    """None where at each position all sentences have the class, or none has it."""
    r_low: float | None
    r_high: float | None


def num_strata(counted: Correctness) -> int:
    """Positions that both right and wrong traces reach."""
    return int(np.count_nonzero((counted.reach > 0).all(axis=0)))


def associations(
    counted: Correctness,
    *,
    seed: int = 0,
    resamples: int = 1000,
    drawn: Resampled | None = None,
) -> list[Association]:
    """Difference and correlation of each class that occurs.

    Args:
        counted: Of all the data.
        seed: Of the resampling.
        resamples: How many times the prompts are drawn.
        drawn: What `resample` gave with these, if it is at hand.

    Returns:
        In the order of `Provenance`; empty where there are too few prompts, right or wrong traces.
        Deterministic.
    """
    if not num_positions(counted):
        return []
    drawn = drawn or resample(counted, seed=seed, resamples=resamples)
    own, other = drawn.around(_stratified)
    lows, highs = np.percentile(other, PERCENTILES, axis=0)
    found: list[Association] = []
    for name, code in classes_of(counted):
        (difference, r), (low, r_low), (high, r_high) = (
            each[:, code].tolist() for each in (own, lows, highs)
        )
        found.append(
            Association(
                name=str(name),
                difference=difference,
                low=low,
                high=high,
                r=None if isnan(r) else r,
                r_low=None if isnan(r) else max(r_low, -1.0),
                r_high=None if isnan(r) else min(r_high, 1.0),
            )
        )
    return found


def strata(
    counts: Counts,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums of products of class and right answer, both less their means in the stratum.

    Args:
        counts: [..., groups, codes, strata]

    Returns:
        [..., codes, strata] w (p1 - p0); [..., 1, strata] w; [..., codes, strata] n p (1 - p). All 0 where a
        group is missing.
    """
    wrong, correct = counts[..., WRONG, :, :], counts[..., CORRECT, :, :]
    num_wrong, num_correct = (group.sum(axis=-2, keepdims=True) for group in (wrong, correct))
    both = (num_wrong > 0) & (num_correct > 0)
    size = np.where(both, num_wrong + num_correct, 1.0)
    has = wrong + correct
    together = np.where(both, correct * num_wrong - wrong * num_correct, 0.0) / size
    of_right = np.where(both, num_wrong * num_correct, 0.0) / size
    of_class = np.where(both, has * (num_wrong + num_correct - has), 0.0) / size
    return together, of_right, of_class


def _stratified(counts: Counts) -> NDArray[np.float64]:
    """[..., 2, codes] the difference and r; NaN where nothing can be said."""
    above, right, own = (part.sum(axis=-1) for part in strata(counts))
    right = np.broadcast_to(right, above.shape)
    return np.stack([_ratio(above, right), _ratio(above, np.sqrt(right * own))], axis=-2)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
