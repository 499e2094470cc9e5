"""The best of all selected traces, as many as a budget holds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.budget import Cut, Entry, cut_at_budget

TABLE = [
    Entry(2.0, 5, "a", 30),
    Entry(3.0, 9, "b", 50),
    Entry(2.0, 4, "c", 40),
    Entry(2.0, 5, "0", 10),
    Entry(math.nan, 1, "d", 1),
    Entry(-math.inf, 1, "e", 1),
]
ORDER = ("b", "c", "0", "a", "e", "d")


@pytest.mark.parametrize(
    ("budget", "kept", "num_tokens"),
    [
        ({}, 6, 132),
        ({"rows": 0}, 0, 0),
        ({"rows": 1}, 1, 50),
        ({"rows": 4}, 4, 130),
        ({"rows": 99}, 6, 132),
        ({"tokens": 0}, 0, 0),
        (
            {"tokens": 49},
            0,
            0,
        ),  # the best does not fit: what is smaller behind it is not taken either
        ({"tokens": 50}, 1, 50),
        ({"tokens": 89}, 1, 50),
        ({"tokens": 90}, 2, 90),
        ({"tokens": 129}, 3, 100),  # 29 left, a needs 30; e and d would fit and are behind it
        ({"tokens": 132}, 6, 132),
        ({"rows": 2, "tokens": 1000}, 2, 90),
        ({"rows": 5, "tokens": 89}, 1, 50),
    ],
)
def test_by_hand(budget, kept, num_tokens):
    cut = cut_at_budget(TABLE, **budget)
    assert cut.kept == ORDER[:kept]
    assert cut.num_tokens == num_tokens
    assert {one.trace_id for one in TABLE if cut.keeps(one.key)} == set(cut.kept)


def test_nothing_to_keep():
    assert cut_at_budget([]) == cut_at_budget([], rows=3, tokens=3) == Cut((), None, 0)


@pytest.mark.parametrize("budget", [{"rows": -1}, {"tokens": -5}])
def test_a_negative_budget_is_refused(budget):
    with pytest.raises(ValueError, match=r"a budget of -\d (rows|tokens): expected 0 or more"):
        cut_at_budget(TABLE, **budget)


def entries():
    one = st.tuples(
        st.sampled_from([-1.0, 0.0, 1.0, 2.0, math.nan]), st.integers(0, 3), st.integers(0, 9)
    )
    return st.dictionaries(st.text("abc", min_size=1, max_size=5), one, max_size=12).map(
        lambda rows: [
            Entry(score, num_sentences, trace_id, num_tokens)
            for trace_id, (score, num_sentences, num_tokens) in rows.items()
        ]
    )


BUDGET = st.none() | st.integers(0, 40)


@given(entries(), BUDGET, BUDGET, st.randoms())
def test_never_exceeded_a_prefix_and_no_matter_the_order(rows_in, rows, tokens, rng):
    cut = cut_at_budget(rows_in, rows=rows, tokens=tokens)
    by_id = {one.trace_id: one for one in rows_in}
    assert rows is None or len(cut.kept) <= rows
    used = sum(by_id[trace_id].num_tokens for trace_id in cut.kept)
    assert used == cut.num_tokens
    assert tokens is None or used <= tokens

    everything = cut_at_budget(rows_in).kept
    assert sorted(everything) == sorted(by_id)
    assert cut.kept == everything[: len(cut.kept)]
    if len(cut.kept) < len(everything):  # one more would not have fitted
        more = used + by_id[everything[len(cut.kept)]].num_tokens
        assert len(cut.kept) == rows or (tokens is not None and more > tokens)

    assert {one.trace_id for one in rows_in if cut.keeps(one.key)} == set(cut.kept)
    shuffled = list(rows_in)
    rng.shuffle(shuffled)
    again = cut_at_budget(shuffled, rows=rows, tokens=tokens)
    assert (again.kept, again.num_tokens) == (cut.kept, cut.num_tokens)


@given(entries(), st.integers(0, 40), st.integers(0, 40))
def test_a_larger_budget_only_adds(rows_in, tokens, more):
    small = cut_at_budget(rows_in, tokens=tokens).kept
    large = cut_at_budget(rows_in, tokens=tokens + more).kept
    assert large[: len(small)] == small
