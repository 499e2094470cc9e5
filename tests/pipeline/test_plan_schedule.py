import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.pipeline.plan_schedule import makespan

WORKS = st.lists(st.floats(0, 100), max_size=30)


@given(works=WORKS, num_actors=st.integers(1, 8))
def test_no_faster_than_sharing_out_and_no_slower_than_alone(works, num_actors):
    found = makespan(works, num_actors)
    least = max(sum(works) / num_actors, max(works, default=0))
    assert least * (1 - 1e-9) <= found <= sum(works) * (1 + 1e-9)


def test_by_hand():
    assert makespan([], 3) == 0
    assert makespan([5], 3) == 5
    assert makespan([1, 2, 3], 1) == 6
    assert makespan([1] * 8, 2) == 4
    assert makespan([1] * 9, 2) == 5
    # 2 last: it begins at 1; else at 0
    assert makespan([1, 1, 2], 2) == pytest.approx((2 + 2 + 3) / 3, rel=0.1)


def test_of_very_many_parts_the_order_does_not_matter():
    assert makespan([1.0, 3.0] * 10_000, 4) == 10_000
