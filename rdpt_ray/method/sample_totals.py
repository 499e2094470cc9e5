"""A total of everything from a sample of it: so many tokens in all files, from some of them.

Blocks (files, row groups, ranges of rows) are drawn at random without replacement; the size of every block,
in bytes or rows, is known without reading it. What is counted in a block goes with its size, so the total is
the sample's ratio times the size of everything: the ratio estimator, with the standard error of Cochran,
*Sampling Techniques* (3rd ed., 1977), chapter 6, and Student's t for small samples. A block may itself have
been read in part and scaled up: what that adds to the error shows in how the blocks differ.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from rdpt_ray.method.t_distribution import two_sided


@dataclass(frozen=True, slots=True)
class Total:
    """An estimated total."""

    value: float
    low: float | None
    """None where the sample cannot say how far off it is: a single block of several."""
    high: float | None


def estimate_total(
    sizes: ArrayLike,
    values: ArrayLike,
    *,
    total_size: float,
    num_blocks: int,
    confidence: float = 0.95,
) -> Total:
    """Estimate what all blocks hold from what some of them hold.

    Args:
        sizes: [n] size of each block in the sample.
        values: [n] what was counted in it, at least 0.
        total_size: Size of all blocks together.
        num_blocks: How many there are in all.
        confidence: Of the interval.

    Returns:
        The total; its interval never reaches below what was seen.

    Raises:
        ValueError: if there is no block with a size, more blocks than there are, or a negative value.
    """
    size, value = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if size.shape != value.shape or size.ndim != 1:
        raise ValueError(f"expected [n] sizes and [n] values, got {size.shape} and {value.shape}")
    count, seen_size, seen = len(size), float(size.sum()), float(value.sum())
    if not 1 <= count <= num_blocks:
        raise ValueError(f"expected 1 to {num_blocks} blocks, got {count}")
    if (size < 0).any() or (value < 0).any() or not 0 < seen_size <= total_size:
        raise ValueError(
            "expected sizes and values of at least 0, and a sample no larger than everything;"
            f" got {seen_size:g} of {total_size:g}"
        )
    if count == num_blocks:
        return Total(seen, seen, seen)
    ratio = seen / seen_size
    total = ratio * total_size
    if count == 1:
        return Total(total, None, None)
    left_out = 1 - count / num_blocks
    squares = float(((value - ratio * size) ** 2).sum())
    error = total_size / seen_size * sqrt(count * left_out * squares / (count - 1))
    reach = two_sided(confidence, count - 1) * error
    return Total(total, max(seen, total - reach), total + reach)
