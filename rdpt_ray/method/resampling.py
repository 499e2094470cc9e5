"""Drawing prompts again: how much counts by class and position would differ with other prompts.

Prompts are drawn with replacement, each with all its traces: sentences of a trace and traces of a prompt are
alike, so neither is drawn alone. What is estimated comes from all traces; how far it spreads comes from the
sample of prompts, scaled to the number of all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.correctness import GROUPS, LETTERS, Correctness

PERCENTILES = (2.5, 97.5)

Counts = NDArray[np.float64]
"""[..., groups, codes, positions]"""


@dataclass(frozen=True, slots=True)
class Resampled:
    """Counts of a sample of prompts, and of as many prompts drawn from it again and again."""

    own: Counts
    """[groups, codes, positions] of all traces."""
    sampled: Counts
    """[groups, codes, positions] of the sample."""
    drawn: Counts
    """[resamples, groups, codes, positions]"""
    scale: float
    """What a spread over the sample is multiplied with to be one over all prompts."""

    def around(
        self, statistic: Callable[[Counts], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A statistic of all traces, and what it might have been with other prompts.

        Args:
            statistic: From counts to [..., anything]; NaN where they say nothing, which is taken for no
                deviation.

        Returns:
            [anything], and [resamples, anything].
        """
        deviations = np.nan_to_num(statistic(self.drawn) - statistic(self.sampled)) * self.scale
        own = statistic(self.own)
        return own, own + deviations


def resample(counted: Correctness, *, seed: int, resamples: int) -> Resampled:
    """Draw the prompts of the sample again.

    Args:
        counted: With at least one prompt in its sample.
        seed: Of the draws; the same seed draws the same.
        resamples: How many times.
    """
    each = prompt_counts(counted)
    prompts, *shape = each.shape
    flat = each.reshape(prompts, -1).astype(np.float64)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    # Sums of whole numbers below 2 ** 53: exact, whatever the order in which the product adds them up.
    drawn = (times.astype(np.float64) @ flat).reshape(resamples, *shape)
    return Resampled(
        own=counted.counts[:, :, : shape[-1]].astype(np.float64),
        sampled=flat.sum(axis=0).reshape(shape),
        drawn=drawn,
        scale=float(np.sqrt(prompts / counted.prompts)),
    )


def prompt_counts(counted: Correctness) -> NDArray[np.int32]:
    """The sentences of each prompt of the sample.

    Returns:
        [prompts, groups, codes, positions] up to the last position that any trace reaches.
    """
    reached = int(np.count_nonzero(counted.reach.sum(axis=0)))
    return np.stack([_counts(groups, reached) for groups in counted.sample.values()])


def _counts(groups: Iterable[Iterable[str]], reached: int) -> NDArray[np.int32]:
    """[groups, codes, positions] one prompt's sentences."""
    found = np.zeros((len(GROUPS), len(LETTERS), reached), dtype=np.int32)
    for group, texts in enumerate(groups):
        for text in texts:
            codes = [_CODE[letter] for letter in text]
            found[group, codes, np.arange(len(codes))] += 1
    return found


_CODE = {letter: code for code, letter in enumerate(LETTERS)}
