"""Student's t with a whole number of degrees of freedom, by its closed form: no table, no scipy.

For whole degrees of freedom the integral is a finite sum of powers of a cosine (Abramowitz and Stegun, 26.7.3
and 26.7.4), all of one sign, so it is exact to rounding; the quantile is found by halving an interval.
"""

from math import atan, cos, inf, pi, sin, sqrt


def central(t: float, freedom: int) -> float:
    """The probability between -t and t.

    Args:
        t: At least 0.
        freedom: Degrees of freedom, at least 1.

    Raises:
        ValueError: if one of them is smaller.
    """
    if t < 0 or freedom < 1:
        raise ValueError(f"expected t >= 0 and at least 1 degree of freedom, got {t}, {freedom}")
    if t == inf:
        return 1.0
    angle = atan(t / sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for number in range(2 + odd, freedom - 1, 2):
        term *= square * (number - 1) / number
        total += term
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total


def two_sided(confidence: float, freedom: int) -> float:
    """How many standard errors an interval reaches to either side.

    Args:
        confidence: Between 0 and 1, for example 0.95.
        freedom: Degrees of freedom, at least 1.

    Raises:
        ValueError: if one of them is not in its range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    low, high = 0.0, 1.0
    while central(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        if central(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high
