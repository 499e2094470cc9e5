"""What sessions cost, by what they counted and the prices that they were told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.costs import cost_of

PRICES = {"currency": "USD", "per_hour": {"H100": 2.5, "CPU": 0.04}}


def test_accelerators_are_paid_by_the_hour():
    counts = {"spent_s": {"H100": 7200.0, "CPU": 3600.0}}
    assert cost_of(counts, PRICES) == pytest.approx(5.04)


@pytest.mark.parametrize(
    ("counts", "prices"),
    [
        ({"spent_s": {"A100": 1.0}}, PRICES),
        ({"spent_s": {"CPU": 1.0, "A100": 1.0}}, PRICES),
        ({"spent_s": {"CPU": 1.0}}, {}),
        ({}, PRICES),
        ({"spent_s": 5}, PRICES),
    ],
)
def test_what_has_no_price_has_no_cost(counts, prices):
    assert cost_of(counts, prices) is None


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=9))
def test_the_cost_of_pieces_is_that_of_the_whole(pieces):
    def cost(seconds):
        return cost_of({"spent_s": {"H100": seconds}}, PRICES)

    assert sum(map(cost, pieces)) == pytest.approx(cost(sum(pieces)))
