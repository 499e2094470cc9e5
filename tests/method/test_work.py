import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.work import AttentionLayers, Reader, causal_pairs, reading_work

FULL = AttentionLayers(num_layers=2, num_heads=4, key_width=16, value_width=8, cached_values=48)
NEAR = AttentionLayers(1, 4, 16, 8, window=5, cached_values=48)
READER = Reader(body_weights=1000, hidden_size=64, vocabulary=300, attention=(FULL, NEAR))

lengths = st.lists(st.integers(0, 60), max_size=8)


def test_a_trace_by_hand():
    found = reading_work(READER, [4], [6])
    assert found.body == 2 * 1000 * 10
    # 55 pairs in each full layer; 15 and 5 x 5 in the layer that sees five.
    assert found.attention == 2 * 4 * (16 + 8) * (2 * 55 + 40)
    assert found.head == 2 * 64 * 300 * 6
    assert found.total == found.body + found.attention + found.head
    assert reading_work(READER, [4], [6], head_reads_prompts=True).head == 2 * 64 * 300 * 10


@given(lengths, st.none() | st.integers(1, 70))
def test_pairs_are_those_of_a_loop(each, window):
    slow = sum(min(i, window or i) for length in each for i in range(1, length + 1))
    assert causal_pairs(np.array(each, dtype=np.int64), window) == slow


@given(lengths)
def test_traces_add_up_and_a_wide_window_is_none(each):
    whole = reading_work(READER, each, each)
    apart = [reading_work(READER, [length], [length]) for length in each]
    assert whole.total == sum(one.total for one in apart)
    wide = Reader(1000, 64, 300, (AttentionLayers(1, 4, 16, 8, window=120),))
    none = Reader(1000, 64, 300, (AttentionLayers(1, 4, 16, 8),))
    assert reading_work(wide, each, each) == reading_work(none, each, each)


def test_a_billion_long_traces_do_not_overflow():
    large = Reader(10**12, 7168, 129_280, (AttentionLayers(61, 128, 192, 128),))
    one, many = (reading_work(large, [0] * n, [131_072] * n).total for n in (1, 20_000))
    assert many == 20_000 * one > 2**63


def test_what_is_kept_of_a_trace_stops_at_the_window():
    assert READER.cached_values(3) == 48 * (2 * 3 + 3)
    assert READER.cached_values(100) == 48 * (2 * 100 + 5)


@pytest.mark.parametrize(("prompts", "responses"), [([1], [1, 2]), ([-1], [2]), ([[1]], [[1]])])
def test_lengths_that_cannot_be_are_refused(prompts, responses):
    with pytest.raises(ValueError, match="expected"):
        reading_work(READER, prompts, responses)
