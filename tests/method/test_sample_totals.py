from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.sample_totals import estimate_total

sizes = st.lists(st.integers(1, 1000), min_size=2, max_size=12)


def test_a_total_by_hand():
    found = estimate_total([10, 20, 30], [21, 39, 60], total_size=600, num_blocks=30)
    # The ratio is 2, off by 1, -1 and 0: 600 / 60 * sqrt(3 * 0.9 * 2 / 2) = 16.43, and t(2) = 4.303.
    reach = 4.3027 * 10 * sqrt(2.7)
    assert found.value == 1200
    assert (found.low, found.high) == pytest.approx((1200 - reach, 1200 + reach), abs=1e-2)


@given(sizes, st.integers(1, 50))
def test_what_is_proportional_is_known_exactly(each, ratio):
    values = [ratio * size for size in each]
    found = estimate_total(each, values, total_size=2 * sum(each), num_blocks=2 * len(each))
    whole = 2 * ratio * sum(each)
    assert (found.value, found.low, found.high) == pytest.approx((whole, whole, whole))


@given(sizes, st.randoms())
def test_a_whole_sample_is_no_estimate_and_order_is_nothing(each, random):
    values = [random.randint(0, 99) for _ in each]
    found = estimate_total(each, values, total_size=sum(each), num_blocks=len(each))
    assert found.value == found.low == found.high == sum(values)
    part = {"total_size": 3 * sum(each), "num_blocks": 3 * len(each)}
    one = estimate_total(each, values, **part)
    other = estimate_total(each[::-1], values[::-1], **part)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert one.low >= sum(values)


def test_a_single_block_has_no_interval():
    found = estimate_total([5], [50], total_size=100, num_blocks=20)
    assert (found.value, found.low, found.high) == (1000, None, None)


def test_the_error_is_the_one_that_all_samples_show():
    # Every sample of 6 from 12: the mean squared error is what the formula says on average, to 10 %.
    rng = np.random.default_rng(1)
    size = rng.uniform(80, 120, 12)
    value = 3 * size + rng.normal(0, 10, 12)
    misses, told, covered = [], [], 0
    for chosen in combinations(range(12), 6):
        rows = list(chosen)
        found = estimate_total(size[rows], value[rows], total_size=size.sum(), num_blocks=12)
        misses.append((found.value - value.sum()) ** 2)
        told.append(((found.high - found.value) / 2.5706) ** 2)  # t(5)
        covered += found.low <= value.sum() <= found.high
    assert np.mean(told) == pytest.approx(np.mean(misses), rel=0.1)
    assert covered / len(misses) > 0.9


@pytest.mark.parametrize(
    ("each", "values", "total", "blocks"),
    [
        ([], [], 10, 3),
        ([1, 2], [1, 2], 10, 1),
        ([1, 2], [1], 10, 3),
        ([1, 2], [1, -2], 10, 3),
        ([0, 0], [1, 2], 10, 3),
        ([6, 6], [1, 2], 10, 3),
    ],
)
def test_samples_that_cannot_be_are_refused(each, values, total, blocks):
    with pytest.raises(ValueError, match="expected"):
        estimate_total(each, values, total_size=total, num_blocks=blocks)
