"""Pearson's r of two whole numbers over candidates, and within prompts, from sums that add exactly.

Sums of integers do not depend on the order in which buckets are merged. Within prompts both numbers are taken
less their prompt's mean, which takes out that some prompts have longer answers; the sum of squares of one
prompt with k candidates is then (k sum(x^2) - sum(x)^2) / k, and its numerator is kept by k.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.prompt_groups import PromptGroups

Products = tuple[int, int, int]
"""Sums of x * x, y * y and x * y."""


@dataclass(frozen=True, slots=True)
class PairSums:
    """Sums over pairs (x, y); add those of two buckets to merge them."""

    count: int = 0
    x: int = 0
    y: int = 0
    products: Products = (0, 0, 0)
    within: dict[int, Products] = field(default_factory=dict[int, Products])
    """Candidates k of a prompt -> k times the sums of products of x and y less their prompt's mean."""

    def __add__(self, other: "PairSums") -> "PairSums":
        sizes = sorted(self.within.keys() | other.within.keys())
        none = (0, 0, 0)
        return PairSums(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            _added(self.products, other.products),
            {k: _added(self.within.get(k, none), other.within.get(k, none)) for k in sizes},
        )

    def r(self) -> float | None:
        """Over all candidates; None for fewer than three or where one of the two is constant."""
        if self.count < 3:
            return None
        xx, yy, xy = self.products
        k = self.count
        return _r(k * xx - self.x**2, k * yy - self.y**2, k * xy - self.x * self.y)

    def r_within(self) -> float | None:
        """Within prompts; None where one of the two never differs between a prompt's candidates."""
        xx, yy, xy = (
            math.fsum(products[index] / k for k, products in self.within.items())
            for index in range(3)
        )
        return _r(xx, yy, xy)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "count": self.count,
            "x": self.x,
            "y": self.y,
            "products": list(self.products),
            "within": {str(k): list(products) for k, products in self.within.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PairSums":
        """The inverse of `to_dict`."""
        within = {int(k): _products(products) for k, products in values["within"].items()}
        return cls(values["count"], values["x"], values["y"], _products(values["products"]), within)


def pair_sums(x: NDArray[np.int64], y: NDArray[np.int64], groups: PromptGroups) -> PairSums:
    """Sums over candidates that are grouped by prompt.

    Args:
        x: [candidates] whole numbers; the square of a prompt's sum must fit 63 bits.
        y: [candidates]
        groups: Which of them belong to one prompt.
    """
    sizes = groups.sizes
    x, y = x.astype(np.int64), y.astype(np.int64)
    sum_x, sum_y = groups.sums(x), groups.sums(y)
    whole = (groups.sums(x * x), groups.sums(y * y), groups.sums(x * y))
    less = (sum_x * sum_x, sum_y * sum_y, sum_x * sum_y)
    within: dict[int, Products] = {}
    for k in np.unique(sizes[sizes > 1]).tolist():
        here = sizes == k
        xx, yy, xy = (
            _total(k * total[here] - part[here]) for total, part in zip(whole, less, strict=True)
        )
        within[k] = (xx, yy, xy)
    return PairSums(
        count=int(sizes.sum()),
        x=_total(sum_x),
        y=_total(sum_y),
        products=(_total(whole[0]), _total(whole[1]), _total(whole[2])),
        within=within,
    )


def _total(values: NDArray[np.int64]) -> int:
    """Exact however many there are: Python's integers do not overflow."""
    return sum(values.tolist())


def _r(xx: float, yy: float, xy: float) -> float | None:
    return xy / math.sqrt(xx) / math.sqrt(yy) if xx > 0 and yy > 0 else None


def _added(left: Products, right: Products) -> Products:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _products(values: list[int]) -> Products:
    return values[0], values[1], values[2]
