from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.pipeline.distill_order import SORTED_TOGETHER, order_of

lengths_of = st.lists(st.integers(1, 200), min_size=1, max_size=80).map(np.array)


@given(lengths_of, st.integers(1, 4), st.integers(1, 40), st.integers(0, 9))
def test_every_example_is_learnt_once_an_epoch(lengths, epochs, batch_size, seed):
    order = order_of(lengths, epochs=epochs, batch_size=batch_size, seed=seed)
    assert Counter(order.tolist()) == dict.fromkeys(range(len(lengths)), epochs)
    again = order_of(lengths, epochs=epochs, batch_size=batch_size, seed=seed)
    assert order.tolist() == again.tolist()


@given(lengths_of, st.floats(0.01, 3), st.integers(1, 9))
def test_a_fraction_of_an_epoch_takes_some_of_the_examples(lengths, epochs, batch_size):
    order = order_of(lengths, epochs=epochs, batch_size=batch_size, seed=0)
    assert len(order) == max(1, round(epochs * len(lengths)))
    counts = Counter(order.tolist()).values()
    assert max(counts) - min(counts, default=0) <= 1


def test_examples_of_a_step_are_alike_and_steps_are_shuffled():
    lengths = np.random.default_rng(1).integers(10, 1000, 64 * SORTED_TOGETHER)
    order = order_of(lengths, epochs=1, batch_size=16, seed=0)
    steps = lengths[order].reshape(-1, 16)
    padded = steps.max(axis=1, keepdims=True) * 16
    assert steps.sum() / padded.sum() > 0.95  # at random it is about 0.53
    longest = steps.max(axis=1)[:SORTED_TOGETHER]
    assert longest.tolist() != sorted(longest.tolist())


def test_another_seed_is_another_order():
    lengths = np.arange(1, 101)
    first, second = (order_of(lengths, epochs=1, batch_size=4, seed=seed) for seed in (0, 1))
    assert first.tolist() != second.tolist()
