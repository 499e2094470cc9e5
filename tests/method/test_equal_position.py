from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rdpt_ray.method.equal_position import associations, num_strata
from tests.method.counted_traces import counted, counted_prompts

traces = st.lists(st.text("TSC", min_size=1, max_size=5), min_size=5, max_size=15)


def named(found):
    return {each.name: each for each in associations(found, resamples=50)}


def test_by_hand():
    # Position 1: 6 of 8 right and 2 of 8 wrong traces are T; w = 64 / 16 = 4.
    # Position 2, reached by 4 right and 6 wrong ones: 1 and 3; w = 24 / 10 = 2.4.
    correct = ["TC", "TT", "TC", "TC", "T", "T", "C", "C"]
    wrong = ["TT", "TT", "CT", "CC", "CC", "CC", "C", "C"]
    found = named(counted(wrong, correct))
    assert num_strata(counted(wrong, correct)) == 2
    above = 4 * (6 / 8 - 2 / 8) + 2.4 * (1 / 4 - 3 / 6)
    assert found["TEACHER"].difference == pytest.approx(above / 6.4)
    # n p (1 - p): 16 * .5 * .5 and 10 * .4 * .6
    assert found["TEACHER"].r == pytest.approx(above / np.sqrt(6.4 * (4 + 2.4)))
    assert found["COMMON"].difference == pytest.approx(-found["TEACHER"].difference)
    assert found["TEACHER"].low <= found["TEACHER"].difference <= found["TEACHER"].high


def test_position_alone_makes_no_correlation():
    """Every trace begins with T and goes on with C, and right ones are shorter: whole shares differ."""
    correct, wrong = ["TC"] * 20, ["TCCCCC"] * 20
    found = named(counted(wrong, correct))
    assert found["TEACHER"].difference == 0
    assert found["TEACHER"].r is None
    assert found["TEACHER"].r_low is None
    assert sum(text.count("T") for text in correct) / 40 > sum(t.count("T") for t in wrong) / 120


def test_where_only_one_group_is_left_nothing_counts():
    short = (["TC", "CT", "TT", "CC", "TC"], ["TT", "TT", "TT", "CT", "CC"])
    long = ([text + "TCTC" for text in short[0]], short[1])
    for one, other in zip(associations(counted(*short)), associations(counted(*long)), strict=True):
        assert (one.difference, one.r) == (other.difference, other.r)


@given(traces, traces)
def test_it_is_least_squares_with_a_constant_per_position(wrong, correct):
    data = counted(wrong, correct)
    found = named(data)
    assume("TEACHER" in found)
    rows = [
        (place, group, letter == "T")
        for group, texts in enumerate((wrong, correct))
        for text in texts
        for place, letter in enumerate(text)
    ]
    reached = [{place for place, group, _ in rows if group == each} for each in (0, 1)]
    rows = [row for row in rows if row[0] in reached[0] & reached[1]]
    places, right, has = (np.array(column, float) for column in zip(*rows, strict=True))
    constants = (places[:, None] == np.unique(places)[None]).astype(float)
    slope = np.linalg.lstsq(np.column_stack([right, constants]), has, rcond=None)[0][0]
    assert found["TEACHER"].difference == pytest.approx(slope, abs=1e-9)

    def within(values):
        return values - constants @ np.linalg.lstsq(constants, values, rcond=None)[0]

    if found["TEACHER"].r is None:
        assert np.abs(within(has)).max() < 1e-9
    else:
        expected = np.corrcoef(within(has), within(right))[0, 1]
        assert found["TEACHER"].r == pytest.approx(expected, abs=1e-9)


@given(traces, traces)
def test_right_and_wrong_the_other_way_round(wrong, correct):
    one, other = named(counted(wrong, correct)), named(counted(correct, wrong))
    for name, found in one.items():
        assert found.difference == pytest.approx(-other[name].difference)
        assert -1 <= found.difference <= 1
        if found.r is not None:
            assert found.r == pytest.approx(-other[name].r)
            assert -1 <= found.r_low <= found.r_high <= 1
    # Every sentence has one class: what one gains the others lose.
    assert sum(each.difference for each in one.values()) == pytest.approx(0, abs=1e-12)


def test_late_positions_with_few_traces_move_it_little():
    rng = np.random.default_rng(0)
    early = [["".join(rng.choice(["T", "C"], 3)) for _ in range(100)] for _ in range(2)]
    plain = named(counted(*early))["TEACHER"]
    # One trace of each group goes on, with all the difference that there can be.
    late = [
        [texts[0] + tail, *texts[1:]] for texts, tail in zip(early, ("CCC", "TTT"), strict=True)
    ]
    moved = named(counted(*late))["TEACHER"]
    # Three positions of weight 50 against three of weight 1 / 2.
    assert moved.difference == pytest.approx((150 * plain.difference + 1.5) / 151.5)


def test_the_interval_covers_a_known_difference_with_prompts_that_are_alike():
    rng = np.random.default_rng(0)
    runs, hits = 100, 0
    for seed in range(runs):
        prompts = []
        for _ in range(40):
            # A prompt has its own share of T, and two traces of either kind: right ones .15 more.
            own = rng.uniform(0, 0.8)
            groups = [
                ["".join("T" if rng.random() < share else "C" for _ in range(4)) for _ in range(2)]
                for share in (own, own + 0.15)
            ]
            prompts.append((groups[0], groups[1]))
        found = associations(counted_prompts(prompts), seed=seed, resamples=200)[0]
        hits += found.low <= 0.15 <= found.high
    assert 0.87 <= hits / runs <= 1


def test_the_same_seed_gives_the_same_and_too_few_give_nothing():
    texts = ["".join(chain("TC", "CT"))] * 6
    data = counted(texts, [text[::-1] for text in texts])
    assert associations(data, seed=1) == associations(data, seed=1)
    assert associations(counted(texts[:4], texts)) == []
    assert associations(counted([], texts)) == []
