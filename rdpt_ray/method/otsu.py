"""Otsu's threshold (IEEE Trans. SMC 9(1), 1979) of many histograms at once."""

import numpy as np
from numpy.typing import NDArray


def otsu(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cut of each histogram that leaves its two sides as different as possible.

    Args:
        counts: [histograms, bins]

    Returns:
        [histograms] int64, the bins below the cut: of cuts that are equally good, because the bins between
        them are empty, the middle one; 0 where fewer than two bins are filled. And [histograms] the share of
        the variance that lies between the two sides, in [0, 1].
    """
    bins: NDArray[np.float64] = np.arange(counts.shape[1], dtype=np.float64)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1).astype(np.float64)
    weighted: NDArray[np.float64] = counts * bins
    below: NDArray[np.float64] = np.cumsum(counts, axis=1, dtype=np.float64)[:, :-1] / total
    moment: NDArray[np.float64] = np.cumsum(weighted, axis=1)[:, :-1] / total
    mean: NDArray[np.float64] = weighted.sum(axis=1, keepdims=True) / total
    # The usual w0 w1 (m0 - m1)^2 as (mean w0 - m)^2 / (w0 w1): one division, none by an empty side.
    sides = below * (1 - below)
    between = np.divide(
        (mean * below - moment) ** 2, sides, out=np.zeros_like(sides), where=sides > 0
    )
    best = between.max(axis=1, keepdims=True)
    # An empty bin leaves the sums as they are, to the last bit, so the cuts around it are equally good.
    first: NDArray[np.int64] = np.argmax(between == best, axis=1)
    worse = (bins[:-1] > first[:, None]) & (between != best)
    last = np.count_nonzero(np.cumsum(worse, axis=1) == 0, axis=1) - 1
    found = best[:, 0] > 0
    spread: NDArray[np.float64] = (counts * (bins - mean) ** 2).sum(axis=1) / total[:, 0]
    share = np.divide(best[:, 0], spread, out=np.zeros(len(spread)), where=found)
    return np.where(found, (first + last) // 2 + 1, 0), np.minimum(share, 1.0)
