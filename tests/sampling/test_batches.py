from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.sampling.batches import plan_batches

ROWS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=40)


@given(ROWS, st.integers(1, 400))
def test_every_row_once_and_no_batch_over_the_cache_but_single_rows(rows, cache):
    lengths, limits = [row[0] for row in rows], [row[1] for row in rows]
    batches = plan_batches(lengths, limits, cache)
    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(lengths[row] for row in batch) + max(limits[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= cache
    flat = [lengths[row] for batch in batches for row in batch]
    assert flat == sorted(flat)
