"""How sure the difference between right and wrong answers is: curves by position, and the area between them.

The intervals are those of drawing the prompts again (`method.resampling`). Still a correlation: nothing here
says that a class of sentences causes right answers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.provenance import CODES, Provenance
from rdpt_ray.method.resampling import PERCENTILES, Counts, Resampled, resample
from rdpt_ray.method.score_columns import CORRECT, WRONG

MIN_REACH = 5
MIN_REACH_SHARE = 0.05
"""A position is read where both groups still have this many traces, and this share of theirs."""

MIN_PROMPTS = 5
"""With fewer, drawing prompts again says nothing, and no position is read."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A class's share at each position that is read, with a 95 % interval."""

    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One class in right and in wrong traces."""

    name: str
    correct: Curve
    wrong: Curve
    area: float
    """Mean over the positions of the share in right traces less that in wrong ones."""
    low: float
    high: float
    """Its 95 % interval."""


def num_positions(counted: Correctness) -> int:
    """Positions that are read: the first ones, up to where one of the groups has too few traces left."""
    if counted.prompts < MIN_PROMPTS:
        return 0
    reach = counted.reach
    enough = np.maximum(MIN_REACH, MIN_REACH_SHARE * reach[:, :1])
    return int(np.count_nonzero((reach >= enough).all(axis=0)))


def classes_of(counted: Correctness) -> list[tuple[Provenance, int]]:
    """The classes that occur, with their codes, in the order of `Provenance`."""
    return [(name, CODES[name]) for name in Provenance if counted.counts[:, CODES[name]].any()]


def contrasts(
    counted: Correctness,
    *,
    seed: int = 0,
    resamples: int = 1000,
    drawn: Resampled | None = None,
) -> list[Contrast]:
    """Curves, areas and intervals of each class that occurs.

    Args:
        counted: Of all the data.
        seed: Of the resampling.
        resamples: How many times the prompts are drawn.
        drawn: What `resample` gave with these, if it is at hand.

    Returns:
        In the order of `Provenance`; empty where there are too few prompts, right or wrong traces.
        Deterministic.
    """
    length = num_positions(counted)
    if not length:
        return []
    drawn = drawn or resample(counted, seed=seed, resamples=resamples)
    own, other = drawn.around(lambda counts: _shares(counts[..., :length]))
    found: list[Contrast] = []
    for name, code in classes_of(counted):
        wrong, correct = (own[group, code] for group in (WRONG, CORRECT))
        wrongs, corrects = (other[:, group, code] for group in (WRONG, CORRECT))
        low, high = np.percentile((corrects - wrongs).mean(axis=1), PERCENTILES)
        found.append(
            Contrast(
                name=str(name),
                correct=_curve(correct, corrects),
                wrong=_curve(wrong, wrongs),
                area=float((correct - wrong).mean()),
                low=float(low),
                high=float(high),
            )
        )
    return found


def _shares(counts: Counts) -> NDArray[np.float64]:
    """[..., codes, positions] counts as shares of all at the position; NaN where there are none."""
    reach = counts.sum(axis=-2, keepdims=True)
    return np.divide(counts, reach, out=np.full(counts.shape, np.nan), where=reach > 0)


def _curve(share: NDArray[np.float64], resampled: NDArray[np.float64]) -> Curve:
    low, high = np.clip(np.percentile(resampled, PERCENTILES, axis=0), 0.0, 1.0)
    return Curve(tuple(share.tolist()), tuple(low.tolist()), tuple(high.tolist()))
