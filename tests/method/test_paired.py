from itertools import product
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.paired import MAX_SEEDS, paired, sign_flip, spread

# Accuracies of the miniature's first experiment, three seeds: most Teacher sentences, and a random choice.
MOST, RANDOM = (0.766, 0.804, 0.668), (0.734, 0.627, 0.505)

numbers = st.lists(st.integers(-50, 50).map(lambda each: each / 64), min_size=1, max_size=9)


def test_mean_and_interval_by_hand():
    found = spread([1, 2, 3, 4, 5])
    # s = sqrt(2.5), t(4) = 2.776: 3 +- 2.776 * sqrt(2.5 / 5)
    assert (found.seeds, found.mean) == (5, 3)
    assert found.deviation == pytest.approx(sqrt(2.5))
    assert (found.low, found.high) == pytest.approx((1.0370, 4.9630), abs=1e-3)
    assert spread([1, 2, 3, 4, 5], confidence=0.9).low == pytest.approx(
        3 - 2.132 * sqrt(0.5), abs=1e-3
    )


def test_a_single_seed_has_no_interval():
    found = spread([0.5])
    assert (found.mean, found.deviation, found.low, found.high) == (0.5, None, None, None)
    only = paired([0.5], [0.4])
    assert (only.won, only.p_value, only.smallest_p) == (1, 1.0, 1.0)


def test_a_difference_by_hand():
    found = paired(MOST, RANDOM)
    # .032, .177, .163: mean .124, s = .0800, t(2) = 4.303
    assert found.spread.mean == pytest.approx(0.124)
    assert found.spread.deviation == pytest.approx(0.0800, abs=1e-4)
    assert found.spread.low == pytest.approx(0.124 - 4.303 * 0.0800 / sqrt(3), abs=1e-3)
    assert (found.won, found.tied) == (3, 0)
    # All three of one sign: only +++ and --- are as far from zero.
    assert found.p_value == found.smallest_p == 0.25


def test_the_sign_flips_by_hand():
    # Sums of +-3 +-2 +-1: 6, 4, 2, 0, 0, -2, -4, -6; seen is 3 + 2 - 1 = 4.
    assert sign_flip([3, 2, -1]) == 4 / 8
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0  # 0 but for rounding
    assert sign_flip([0, 0]) == 1.0
    found = paired([0.5, 0.4, 0.3], [0.5, 0.3, 0.4])
    assert (found.won, found.tied) == (1, 1)


@given(numbers)
def test_the_test_is_the_slow_loop_and_both_ways_the_same(differences):
    seen = abs(sum(differences))
    flips = list(product([1, -1], repeat=len(differences)))
    # 64ths add up exactly.
    far = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= seen for signs in flips
    ]
    assert sign_flip(differences) == sum(far) / len(flips)
    assert sign_flip([-each for each in differences]) == sign_flip(differences)
    assert sign_flip(differences) >= 2 / len(flips) or len(differences) == 1


@given(st.data(), st.integers(1, 9))
def test_the_other_way_round(data, seeds):
    values = st.lists(st.integers(0, 64).map(lambda n: n / 64), min_size=seeds, max_size=seeds)
    first, second = data.draw(values), data.draw(values)
    one, other = paired(first, second), paired(second, first)
    assert one.spread.mean == -other.spread.mean
    assert one.won + other.won + one.tied == seeds
    assert one.p_value == other.p_value
    if seeds > 1:
        assert one.spread.low == pytest.approx(-other.spread.high)
        assert one.spread.low <= one.spread.mean <= one.spread.high


def test_as_many_seeds_as_it_takes():
    ones = [1.0] * MAX_SEEDS
    assert paired(ones, [0.0] * MAX_SEEDS).p_value == 2 / 2**MAX_SEEDS


@pytest.mark.parametrize(
    ("first", "second"), [([1.0], []), ([], []), ([0.0] * (MAX_SEEDS + 1),) * 2]
)
def test_seeds_that_do_not_pair(first, second):
    with pytest.raises(ValueError, match=rf"expected as many of both, 1 to {MAX_SEEDS}"):
        paired(first, second)
    with pytest.raises(ValueError, match="at least one seed"):
        spread([])
