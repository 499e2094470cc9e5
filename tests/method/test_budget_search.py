"""However few entries are held at a time, a budget ends where it ends with all of them at hand."""

import math
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from rdpt_ray.method.budget import Entry, cut_at_budget
from rdpt_ray.method.budget_search import Look, Seen, find_cut, see


def entries(count, seed=0):
    draw = Random(seed)
    return [
        Entry(float(draw.randrange(40)), draw.randrange(90), f"{draw.getrandbits(64):016x}", size)
        for size in (draw.randrange(2000) for _ in range(count))
    ]


def asked(buckets, looks):
    def ask(look):
        looks.append(look)
        total = Seen()
        for bucket in buckets:
            total.add(see(bucket, look))
        return total

    return ask


SMALL = st.lists(
    st.builds(
        Entry,
        st.sampled_from([-1.0, 0.0, 1.0, math.nan, -math.inf]),
        st.integers(0, 3),
        st.text("abcdef", min_size=1, max_size=4),
        st.integers(0, 9),
    ),
    max_size=30,
    unique_by=lambda entry: entry.trace_id,
)
BUDGET = st.none() | st.integers(0, 120)


@given(SMALL, BUDGET, BUDGET, st.integers(1, 40), st.integers(0, 60))
@example([], 0, None, 1, 60)
def test_the_cut_is_that_over_all_entries_whatever_is_held(found, rows, tokens, most, told):
    cut = find_cut(asked([found[::2], found[1::2]], []), told, rows=rows, tokens=tokens, most=most)
    whole = cut_at_budget(found, rows=rows, tokens=tokens)
    assert (cut.last, cut.num_tokens) == (whole.last, whole.num_tokens)
    assert [cut.keeps(each.key) for each in found] == [whole.keeps(each.key) for each in found]


def test_few_looks_and_few_entries_are_enough_for_many():
    found, looks, held = entries(60_000), [], []

    def ask(look):
        seen = asked([found], looks)(look)
        held.append(len(seen.entries))
        return seen

    for budget in ({"rows": 20_000}, {"tokens": 10_000_000}, {"rows": 59_990, "tokens": 10**9}):
        looks.clear()
        cut = find_cut(ask, len(found), most=3000, **budget)
        assert cut.last == cut_at_budget(found, **budget).last
        assert len(looks) <= 4
    assert max(held) < 6000


def test_a_small_run_is_looked_at_once():
    found, looks = entries(50), []
    cut = find_cut(asked([found], looks), 50, rows=10)
    assert looks == [Look()]
    assert cut == cut_at_budget(found, rows=10)


def test_a_misleading_share_costs_looks_and_nothing_else():
    """The hash takes none of the large ones, so the share tells that all of it fits."""
    look = Look(share=0.01)
    many = entries(20_000, seed=1)
    found = [
        Entry(
            each.selection_score, each.num_sentences, each.trace_id, 1 if look.takes(each) else 900
        )
        for each in many
    ]
    cut = find_cut(asked([found], []), 20_000, tokens=300_000, most=200)
    assert cut.last == cut_at_budget(found, tokens=300_000).last
