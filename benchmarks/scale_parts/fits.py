"""How fast something grows."""

from collections.abc import Sequence

import numpy as np


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The power of the size that a cost grows with: the slope between logarithms, by least squares.

    What is paid once hides it at small sizes, so the three largest decide. None for a single size.
    """
    if len(sizes) < 2:
        return None
    slope, _ = np.polyfit(np.log(sizes[-3:]), np.log(values[-3:]), 1)
    return float(slope)
