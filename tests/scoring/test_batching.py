import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.scoring.batching import plan_batches

LENGTHS = st.lists(st.integers(1, 60), max_size=60)
BUDGETS = st.integers(1, 80)


@pytest.mark.parametrize(
    ("lengths", "token_budget", "expected"),
    [
        ([], 10, []),
        ([3], 10, [[0]]),
        ([5, 5, 5], 10, [[0, 1], [2]]),
        ([2, 8, 3, 7], 10, [[1, 0], [3, 2]]),
        ([1, 1, 1], 1, [[0], [1], [2]]),
        ([4, 25, 4], 10, [[1], [0, 2]]),
        ([4, 10, 4], 10, [[1], [0, 2]]),
        ([6, 5, 4, 3, 2], 10, [[0, 2], [1, 3, 4]]),
    ],
)
def test_plans_worked_out_by_hand(lengths, token_budget, expected):
    assert plan_batches(lengths, token_budget) == expected


@given(LENGTHS, BUDGETS)
def test_every_sequence_once_and_no_batch_over_budget(lengths, token_budget):
    batches = plan_batches(lengths, token_budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[index] for index in batch) <= token_budget or len(batch) == 1


@given(LENGTHS, BUDGETS)
def test_first_fit_decreasing_as_it_reads(lengths, token_budget):
    batches = []
    for index in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        for batch in batches:
            if sum(lengths[place] for place in batch) + lengths[index] <= token_budget:
                batch.append(index)
                break
        else:
            batches.append([index])
    assert plan_batches(lengths, token_budget) == batches


@given(LENGTHS, BUDGETS)
def test_no_two_batches_would_fit_into_one(lengths, token_budget):
    loads = sorted(
        sum(lengths[index] for index in batch) for batch in plan_batches(lengths, token_budget)
    )
    assert len(loads) < 2 or loads[0] + loads[1] > token_budget


def test_many_traces_fill_their_batches():
    lengths = [100 + (number * 7919) % 1900 for number in range(4096)]
    batches = plan_batches(lengths, 8192)
    assert sum(lengths) / (len(batches) * 8192) > 0.97
