import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.sampling.streams import BLOCK, Streams, stream_seed


@given(st.integers(0, 2**64), st.text(max_size=8), st.integers(0, 100))
def test_a_seed_is_made_of_all_three_and_fits_63_bits(seed, prompt_id, candidate):
    found = stream_seed(seed, prompt_id, candidate)
    assert 0 <= found < 2**63
    assert found == stream_seed(seed, prompt_id, candidate)
    others = [
        stream_seed(seed + 1, prompt_id, candidate),
        stream_seed(seed, prompt_id + "x", candidate),
        stream_seed(seed, prompt_id, candidate + 1),
    ]
    assert found not in others


def test_a_row_has_the_same_numbers_whatever_rows_are_beside_it():
    steps = 2 * BLOCK + 3
    alone = Streams([7])
    expected = [alone.step()[0] for _ in range(steps)]
    np.testing.assert_array_equal(expected, np.random.default_rng(7).random(steps))
    beside = Streams([5, 6, 7])
    found = []
    for step in range(steps):
        if step == 10:
            beside.keep([0, 2])
        elif step == BLOCK + 1:
            beside.keep([1])
        found.append(beside.step()[-1])
    assert found == expected
