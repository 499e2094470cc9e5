"""However much there is to look at, there are a bounded number of tasks, and each row is looked at once."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.part_tasks import FEW, MANY, ROWS, keys_by_bucket, num_tasks, over_tasks
from rdpt_ray.pipeline.score import Part


@given(st.integers(1, 10**10))
def test_tasks_are_bounded_whatever_there_is_to_do(num_items):
    count = num_tasks(num_items)
    assert 1 <= count <= min(num_items, MANY)
    assert count >= min(num_items, FEW)
    assert count == MANY or num_items <= max(FEW, count + 1) * ROWS


@given(st.lists(st.builds(Part, st.integers(0, 5), st.text("ab", max_size=3), st.just(0))))
def test_keys_are_those_of_each_bucket_in_their_order(parts):
    found = keys_by_bucket(parts)
    assert list(found) == sorted({part.bucket for part in parts})
    for bucket, keys in found.items():
        assert keys == [part.key for part in parts if part.bucket == bucket]


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_every_row_is_looked_at_once_and_may_have_any_number_of_answers(ray_cluster):
    rows = [{"number": number, "names": ["x"] * (number % 3)} for number in range(40)]
    with connected():
        found = list(over_tasks(rows, _named))
    assert sorted(row["number"] for row in found) == sorted(
        number for number in range(40) for _ in range(number % 3)
    )


def _named(batch):
    assert batch.num_rows == 1
    rows = [{"number": row["number"]} for row in batch.to_pylist() for _ in row["names"]]
    return pa.Table.from_pylist(rows, schema=pa.schema([("number", pa.int64())]))
