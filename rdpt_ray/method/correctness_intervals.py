"""How sure the difference between right and wrong answers is: a bootstrap over traces.

Whole traces are drawn with replacement, never sentences, which are alike within a trace. Traces of one prompt
are taken as independent, so with many candidates per prompt the intervals are somewhat narrow. The curves and
the area come from all traces; their spread comes from the sample, scaled to the number of all traces. Still a
correlation: nothing here says that a class of sentences causes right answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.correctness import LETTERS, MAX_POSITIONS, Correctness
from rdpt_ray.method.provenance import CODES, Provenance
from rdpt_ray.method.score_columns import CORRECT, WRONG

MIN_REACH = 5
MIN_REACH_SHARE = 0.05
"""A position is read where both groups still have this many traces, and this share of theirs."""

PERCENTILES = (2.5, 97.5)


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
    reach = counted.reach
    enough = np.maximum(MIN_REACH, MIN_REACH_SHARE * reach[:, :1])
    return int(np.count_nonzero((reach >= enough).all(axis=0)))


def contrasts(counted: Correctness, *, seed: int = 0, resamples: int = 1000) -> list[Contrast]:
    """Curves, areas and intervals of each class that occurs.

    Args:
        counted: Of all the data.
        seed: Of the resampling.
        resamples: How many times the traces are drawn.

    Returns:
        In the order of `Provenance`; empty where there are too few right or wrong traces to read a position.
        Deterministic.
    """
    length = num_positions(counted)
    if not length:
        return []
    rng = np.random.default_rng(seed)
    shares = counted.counts[:, :, :length] / counted.reach[:, None, :length]
    drawn = [_drawn(counted, group, length, rng, resamples) for group in (WRONG, CORRECT)]
    found: list[Contrast] = []
    for name in Provenance:
        code = CODES[name]
        if not counted.counts[:, code].any():
            continue
        wrong, correct = (shares[group, code] for group in (WRONG, CORRECT))
        wrongs, corrects = (wrong + drawn[WRONG][:, code], correct + drawn[CORRECT][:, code])
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


def _drawn(
    counted: Correctness, group: int, length: int, rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """[resamples, codes, positions] deviations of one group's shares from those of its sample."""
    codes = _codes(counted.sample[group].values())[:, :length]
    traces = len(codes)
    has = np.stack([codes == code for code in range(len(LETTERS))], axis=1)
    flat = has.reshape(traces, -1).astype(np.float64)
    times = rng.multinomial(traces, np.full(traces, 1 / traces), size=resamples)
    # Sums of whole numbers below 2 ** 53: exact, whatever the order in which the product adds them up.
    counts = (times.astype(np.float64) @ flat).reshape(resamples, len(LETTERS), length)
    sampled = _shares(has.sum(axis=0).astype(np.float64)[None])
    scale = np.sqrt(traces / counted.traces[group])
    # No trace of a resample reaches a late position: it says nothing there.
    return np.nan_to_num(_shares(counts) - sampled) * scale


def _codes(letters: Iterable[str]) -> NDArray[np.int8]:
    """[traces, MAX_POSITIONS] the classes of a sample; -1 after a trace's end."""
    number = {letter: code for code, letter in enumerate(LETTERS)}
    rows = [[number[letter] for letter in text] for text in letters]
    codes = np.full((len(rows), MAX_POSITIONS), -1, dtype=np.int8)
    for row, known in zip(codes, rows, strict=True):
        row[: len(known)] = known
    return codes


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """[..., codes, positions] counts as shares of all at the position; NaN where there are none."""
    reach = counts.sum(axis=-2, keepdims=True)
    return np.divide(counts, reach, out=np.full(counts.shape, np.nan), where=reach > 0)


def _curve(share: NDArray[np.float64], resampled: NDArray[np.float64]) -> Curve:
    low, high = np.clip(np.percentile(resampled, PERCENTILES, axis=0), 0.0, 1.0)
    return Curve(tuple(share.tolist()), tuple(low.tolist()), tuple(high.tolist()))
