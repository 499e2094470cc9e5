"""Trainings repeated with several seeds: means with intervals, and policies compared seed by seed.

A seed sets the order of the data and the draws of a training, so two policies under one seed share some of
their luck: the difference within each seed is what is compared. The interval is Student's t over the seeds.
The p-value is that of the exact sign-flip test (Fisher 1935), which assumes only that without an effect a
difference would be as likely with the other sign; it goes through all 2 ** n choices of signs. With few
seeds it cannot be small, whatever the data: with 5 no two-sided p is below 2 / 32 = 0.0625 (`smallest_p`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np

from rdpt_ray.method.t_distribution import two_sided

MAX_SEEDS = 20
"""The test goes through 2 ** 20 choices of signs, in 32 MB."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one number over seeds."""

    seeds: int
    mean: float
    deviation: float | None
    """Standard deviation with n - 1; None for a single seed."""
    low: float | None
    high: float | None
    """Interval of the mean, by t; None for a single seed."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One policy less another, seed by seed."""

    spread: Spread
    """Of the differences."""
    won: int
    """Seeds in which the first is larger."""
    tied: int
    p_value: float
    """Two-sided, by the sign-flip test."""
    smallest_p: float
    """What the test could give at best with so many seeds."""


def spread(values: Sequence[float], *, confidence: float = 0.95) -> Spread:
    """Mean, standard deviation and t interval over seeds.

    Args:
        values: One per seed, at least one.
        confidence: Of the interval.

    Raises:
        ValueError: if there is no value, or `confidence` is not between 0 and 1.
    """
    seeds = len(values)
    if not seeds:
        raise ValueError("no results to put together: expected at least one seed")
    mean = fsum(values) / seeds
    if seeds == 1:
        return Spread(1, mean, None, None, None)
    deviation = sqrt(fsum((value - mean) ** 2 for value in values) / (seeds - 1))
    reach = two_sided(confidence, seeds - 1) * deviation / sqrt(seeds)
    return Spread(seeds, mean, deviation, mean - reach, mean + reach)


def paired(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> PairedDifference:
    """The first policy less the second.

    Args:
        first: One number per seed, at least one and at most `MAX_SEEDS`.
        second: Of the same seeds in the same order.
        confidence: Of the interval.

    Raises:
        ValueError: if their numbers of seeds differ or are out of range, or `confidence` is.
    """
    if len(first) != len(second) or not 0 < len(first) <= MAX_SEEDS:
        raise ValueError(
            f"results of {len(first)} and of {len(second)} seeds: expected as many of both, "
            f"1 to {MAX_SEEDS}"
        )
    differences = [one - other for one, other in zip(first, second, strict=True)]
    return PairedDifference(
        spread=spread(differences, confidence=confidence),
        won=sum(each > 0 for each in differences),
        tied=sum(each == 0 for each in differences),
        p_value=sign_flip(differences),
        smallest_p=2.0 ** (1 - len(differences)),
    )


def sign_flip(differences: Sequence[float]) -> float:
    """Share of all choices of signs whose sum is at least as far from zero as the one that was seen.

    Args:
        differences: 1 to `MAX_SEEDS`.

    Returns:
        Above 0, at most 1.
    """
    sums = np.zeros(1)
    for each in differences:
        sums = np.concatenate([sums + each, sums - each])
    # Sums that are equal but for rounding count as equal, or the p-value would depend on the order.
    rounding = 1e-9 * fsum(map(abs, differences))
    return float(np.mean(np.abs(sums) >= abs(fsum(differences)) - rounding))
