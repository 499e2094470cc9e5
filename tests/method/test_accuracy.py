import json
import random
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.accuracy import Accuracy, accuracy, pass_at, wilson

verdicts = st.lists(
    st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6), min_size=1, max_size=30
)


# Newcombe (1998), table I: Wilson's score interval without correction, 95 %.
@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_printed(right, of, low, high):
    assert wilson(right / of, of) == pytest.approx((low, high), abs=5e-5)
    found = accuracy([[True]] * right + [[False]] * (of - right))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_by_hand():
    found = accuracy([[True, True], [True, False], [False, None], [None, None]])
    assert (found.prompts, found.samples, found.correct, found.wrong, found.unknown) == (
        4, 8, 3, 2, 3,
    )  # fmt: skip
    assert found.accuracy == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    # Spread of the prompts' shares: .625 ** 2 + .125 ** 2 + 2 * .375 ** 2 = .6875; .375 * .625 * 16 / .6875.
    assert (found.low, found.high) == pytest.approx(wilson(0.375, 5.4545454545))
    # Of two samples of each prompt, one is right in two prompts: 1, 1, 0, 0.
    assert found.pass_at == {1: 0.375, 2: 0.5}


def test_prompts_count_the_same_however_many_samples():
    found = accuracy([[True] * 9, [False]])
    assert found.accuracy == 0.5
    assert found.pass_at == {1: 0.5}


def test_samples_that_are_alike_are_worth_one_and_those_that_are_not_are_worth_all():
    whole = accuracy([[True] * 8] * 10 + [[False] * 8] * 10)
    mixed = accuracy([[True, False] * 4] * 20)
    assert (whole.low, whole.high) == pytest.approx(wilson(0.5, 20))
    assert (mixed.low, mixed.high) == pytest.approx(wilson(0.5, 160))
    # All right: nothing tells how alike samples of one prompt are, so they count as one.
    assert accuracy([[True] * 8] * 20).low == accuracy([[True]] * 20).low


@given(verdicts, st.floats(0.5, 0.99))
def test_the_interval_holds_the_accuracy_and_nothing_is_lost(prompts, confidence):
    found = accuracy(prompts, confidence=confidence)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert found.correct + found.wrong + found.unknown == found.samples == sum(map(len, prompts))
    assert found.pass_at[1] == pytest.approx(found.accuracy)
    shares = list(found.pass_at.values())
    assert all(a <= b + 1e-12 for a, b in pairwise(shares))
    assert Accuracy.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@given(verdicts, st.integers(0, 2**32))
def test_no_order_matters(prompts, seed):
    rng = random.Random(seed)
    shuffled = [rng.sample(samples, len(samples)) for samples in prompts]
    rng.shuffle(shuffled)
    one, other = accuracy(prompts), accuracy(shuffled)
    assert one.accuracy == other.accuracy
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert one.pass_at == pytest.approx(other.pass_at)


@given(verdicts)
def test_what_is_not_known_counts_like_wrong_but_is_told(prompts):
    found = accuracy(prompts)
    taken = accuracy([[each is True for each in samples] for samples in prompts])
    assert (taken.accuracy, taken.low, taken.high) == (found.accuracy, found.low, found.high)
    assert taken.wrong == found.wrong + found.unknown


@given(st.integers(1, 7), st.data())
def test_pass_at_is_the_share_of_all_draws(size, data):
    right = data.draw(st.integers(0, size))
    k = data.draw(st.integers(1, size))
    draws = list(combinations([True] * right + [False] * (size - right), k))
    assert pass_at(size, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_the_interval_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    runs, hits = 400, 0
    for _ in range(runs):
        own = rng.beta(1, 1, 60)  # prompts differ much: mean .5
        found = accuracy((rng.random((60, 4)) < own[:, None]).tolist())
        hits += found.low <= 0.5 <= found.high
    assert 0.92 <= hits / runs <= 0.98


@pytest.mark.parametrize("prompts", [[], [[True], []]])
def test_nothing_to_count(prompts):
    with pytest.raises(ValueError, match="at least one prompt"):
        accuracy(prompts)


def test_ks_asked_for():
    found = accuracy([[True, False, False]] * 2, ks=[3, 2, 2, 5, 0])
    assert found.pass_at == pytest.approx({2: 2 / 3, 3: 1.0})
    with pytest.raises(ValueError, match="between 0 and 1"):
        accuracy([[True]], confidence=1.0)
