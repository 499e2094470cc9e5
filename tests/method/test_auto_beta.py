import dataclasses
import json
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.auto_beta import (
    NUM_BINS,
    NUM_FOLDS,
    DifferenceHistogram,
    choose_beta,
    prompt_folds,
)
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.score_columns import take

seeds = st.integers(0, 2**32 - 1)
PROB = DIVERGENCES["prob_difference"]


def histogram(gaps, *, per_prompt=40):
    """Of differences, those of one prompt beside each other."""
    folds = np.arange(len(gaps)) // per_prompt % NUM_FOLDS
    return DifferenceHistogram.of(gaps, np.zeros(len(gaps)), PROB, folds)


def two_humps(rng, size):
    far = np.clip(rng.normal(0.3, 0.05, size), 0, 1)
    return np.where(rng.random(size) < 0.7, np.abs(rng.normal(0, 0.02, size)), far)


def of_columns(columns, name):
    ways = DIVERGENCES[name]
    folds = columns.per_sentence(prompt_folds(columns.prompt_ids))
    values = (columns.values(role, ways) for role in ("teacher", "student"))
    return DifferenceHistogram.of(*values, ways, folds)


def test_two_humps_are_told_apart_clearly():
    found = choose_beta(histogram(two_humps(np.random.default_rng(0), 4000)))
    assert found.confidence == "clear"
    assert 0.06 < found.beta < 0.2
    assert found.interval[0] <= found.beta <= found.interval[1]
    assert found.separability > 0.9
    assert found.valley < 0.1
    assert found.num_sentences == 4000


@pytest.mark.parametrize("size", [200, 2000, 20000])
@pytest.mark.parametrize("shape", ["exponential", "uniform", "normal", "by prompt"])
def test_one_hump_is_not_said_to_be_clear(shape, size):
    rng = np.random.default_rng(size)
    gaps = {
        "exponential": lambda: rng.exponential(0.1, size),
        "uniform": lambda: rng.uniform(0, 0.5, size),
        "normal": lambda: np.abs(rng.normal(0, 0.1, size)),
        "by prompt": lambda: np.repeat(rng.exponential(0.1, size // 40), 40),
    }[shape]()
    assert choose_beta(histogram(np.minimum(gaps, 1))).confidence == "weak"


def num_clear(shape, size, runs=20):
    """How many of so many data sets, every sentence its own prompt, are said to be clear."""
    drawn = [shape(np.random.default_rng(seed), size) for seed in range(runs)]
    found = [choose_beta(histogram(np.clip(gaps, 0, 1), per_prompt=1)) for gaps in drawn]
    return sum(each.confidence == "clear" for each in found)


def test_a_gap_that_is_only_noise_is_no_valley():
    assert num_clear(lambda rng, size: rng.uniform(0, 1, size), 100) <= 1


def test_three_humps_are_not_two():
    centres = [0.05, 0.3, 0.55]
    assert (
        num_clear(lambda rng, size: rng.choice(centres, size) + rng.normal(0, 0.04, size), 2000)
        <= 2
    )


def test_few_prompts_are_never_clear():
    gaps = two_humps(np.random.default_rng(0), 4000)
    assert choose_beta(histogram(gaps, per_prompt=400)).confidence == "weak"


def test_sentences_of_one_prompt_are_not_taken_as_independent():
    gaps = np.repeat(np.random.default_rng(0).exponential(0.1, 100), 40)
    widths = []
    for folds in (np.arange(len(gaps)) // 40 % NUM_FOLDS, None):
        found = choose_beta(DifferenceHistogram.of(gaps, np.zeros(len(gaps)), PROB, folds))
        widths.append(found.interval[1] - found.interval[0])
    assert widths[0] > 2 * widths[1]


def test_by_hand():
    found = choose_beta(histogram([0.0] * 6 + [0.1] * 3 + [0.4] * 3))
    # Between 0 .. .1 and .4 the variance share is largest; the middle of the gap is .25.
    assert found.beta == 0.25
    low, high = np.array([0.0] * 6 + [0.1] * 3), np.array([0.4] * 3)
    whole = np.concatenate([low, high])
    between = 9 / 12 * 3 / 12 * (low.mean() - high.mean()) ** 2
    assert found.separability == pytest.approx(between / whole.var())
    assert found.near_share == 0


def test_bins_hold_their_lower_edge():
    counts = histogram([0.0, 0.0009, 0.001, 0.3, 0.7, 0.999, 1.0]).counts.sum(axis=0)
    assert np.flatnonzero(counts).tolist() == [0, 1, 300, 700, 999]
    assert counts[0] == counts[NUM_BINS - 1] == 2


def test_a_divergence_without_a_limit_is_counted_in_the_last_bin():
    ways = DIVERGENCES["log_ratio"]
    found = DifferenceHistogram.of([-50.0, -0.2, np.nan], [-1.0, -0.1, -1.0], ways)
    assert np.flatnonzero(found.counts.sum(axis=0)).tolist() == [50, NUM_BINS - 1]
    assert found.num_sentences == 2


@given(seeds, st.sampled_from(sorted(DIVERGENCES)))
def test_any_split_adds_up(random_columns, seed, name):
    columns = random_columns(seed)
    part_of = np.random.default_rng(seed).integers(0, 3, len(columns))
    parts = [of_columns(take(columns, np.flatnonzero(part_of == part)), name) for part in range(3)]
    whole = of_columns(columns, name)
    np.testing.assert_array_equal(reduce(add, parts).counts, whole.counts)
    added = DifferenceHistogram.empty(DIVERGENCES[name]) + whole
    np.testing.assert_array_equal(added.counts, whole.counts)


@given(seeds)
def test_json_and_back(random_columns, seed):
    found = of_columns(random_columns(seed), "log_ratio")
    again = DifferenceHistogram.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.divergence == found.divergence
    np.testing.assert_array_equal(again.counts, found.counts)


def test_a_prompt_has_one_fold():
    ids = np.array(["p1", "p2", "p1", "p3"])
    folds = prompt_folds(ids)
    assert folds[0] == folds[2]
    assert folds[[1, 3]].tolist() == prompt_folds(ids[[1, 3]]).tolist()
    assert len(set(prompt_folds(np.array([f"p{n}" for n in range(2000)])).tolist())) == NUM_FOLDS


def test_the_same_seed_gives_the_same():
    counted = histogram(np.random.default_rng(0).exponential(0.1, 2000))
    found = choose_beta(counted, seed=1)
    assert dataclasses.asdict(found) == dataclasses.asdict(choose_beta(counted, seed=1))
    assert found.beta == choose_beta(counted, seed=2).beta


@pytest.mark.parametrize("gaps", [[], [0.2, 0.2], [np.nan]])
def test_nothing_to_separate(gaps):
    with pytest.raises(ValueError, match="at least two unlike"):
        choose_beta(histogram(np.array(gaps)))


def test_histograms_of_other_divergences_do_not_add_up():
    with pytest.raises(ValueError, match="log_ratio"):
        DifferenceHistogram.empty(PROB) + DifferenceHistogram.empty(DIVERGENCES["log_ratio"])
