"""Pairs to groups, groups to what is kept: against plain computations, whatever the order."""

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.clusters import components, dropped, num_bands

PAIRS = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=30)


def walked(pairs):
    """Components by walking, from an independent definition."""
    near = {}
    for one, other in pairs:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    label = {}
    for start in sorted(near):
        stack = [start]
        while stack:
            at = stack.pop()
            if at not in label:
                label[at] = start
                stack.extend(near[at])
    return label


@given(PAIRS, st.randoms())
def test_components_are_those_found_by_walking(pairs, rng):
    expected = walked(pairs)
    numbers = {thing: number for number, thing in enumerate(sorted(expected))}
    shuffled = [(numbers[one], numbers[other]) for one, other in rng.sample(pairs, len(pairs))]
    found = components(np.array(shuffled, np.int64).reshape(-1, 2))
    assert found.tolist() == [numbers[expected[thing]] for thing in sorted(expected)]


def test_a_long_chain_is_one_group():
    chain = np.array([[at, at + 1] for at in range(5000)])
    assert set(components(np.random.default_rng(0).permutation(chain)).tolist()) == {0}


@given(st.lists(st.sets(st.integers(0, 6), min_size=1), min_size=1, max_size=10))
def test_what_goes_is_like_what_stays_and_what_stays_is_not_alike(sets):
    ids = [f"{place:02d}" for place in range(len(sets))]

    def similarity(one, other):
        return len(sets[one] & sets[other]) / len(sets[one] | sets[other])

    same = np.zeros((len(sets), 8), np.uint32)  # signatures that rule nothing out
    gone = dropped(ids, same, 0.6, similarity)
    stay = [place for place, identity in enumerate(ids) if identity not in gone]
    assert all(similarity(one, other) < 0.6 for one, other in combinations(stay, 2))
    for identity, (kept, value) in gone.items():
        assert kept < identity
        assert kept not in gone
        assert value == similarity(int(kept), int(identity)) >= 0.6


def test_without_exact_similarities_the_signatures_decide():
    minima = np.array([[1, 2, 3, 4], [1, 2, 3, 9], [8, 2, 3, 9]], np.uint32)
    assert dropped(["a", "b", "c"], minima, 0.75, None) == {"b": ("a", 0.75)}


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_pairs_at_the_threshold(threshold):
    bands, length = num_bands(threshold, 128, 0.9995)
    assert bands * length <= 128
    rng = random.Random(0)
    found = sum(
        any(all(rng.random() < threshold for _ in range(length)) for _ in range(bands))
        for _ in range(4000)
    )
    assert found / 4000 >= 0.997
