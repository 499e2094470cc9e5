"""The order of candidates that no input order moves, what is dropped and why, and policies by name."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdpt_ray.method.selection as selection
from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.selection import (
    NEEDS,
    POLICIES,
    Candidate,
    Ranked,
    RoleScores,
    needs,
    policy_named,
    rank_candidates,
)

LETTERS = {"T": CODES["TEACHER"], "S": CODES["STUDENT"], "C": CODES["COMMON"], "-": -1}


def role(pairs):
    """Scores from (sum, tokens) pairs; every other signal is made from the sum, so that all are there."""
    tokens = np.array([count for _, count in pairs], np.int64)
    sums = np.array([total if count else math.nan for total, count in pairs], np.float64)
    return RoleScores(sums, tokens, first=sums / 2, ranks=-sums, briers=-sums / 4)


def candidate(trace_id, classes, *, num_chars=100, teacher=(), student=(), unprompted=()):
    """A candidate from letters, one per sentence, and (sum, tokens) pairs."""
    return Candidate(
        trace_id=trace_id,
        num_chars=num_chars,
        classes=np.array([LETTERS[letter] for letter in classes], np.int8),
        teacher=role(teacher),
        student=role(student),
        unprompted=role(unprompted),
    )


def test_the_names_are_those_of_the_contract():
    assert [*POLICIES] == [
        "teacher_count",
        "teacher_ratio",
        "fewest",
        "longest",
        "shortest",
        "length_matched",
        "random",
        "grape",
        "rsr",
        "ifd",
        "lark",
        "aslec",
        "miniplm_difference",
    ]
    for name, policy in POLICIES.items():
        assert getattr(selection, name) is policy


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(KeyError, match="no policy 'teacher_cuont'; did you mean 'teacher_count'"):
        policy_named("teacher_cuont")
    with pytest.raises(KeyError, match="no policy 'xyz'; known: aslec, fewest"):
        needs("xyz")


def test_every_policy_says_what_it_needs():
    assert NEEDS.keys() == POLICIES.keys()
    assert {name for name in POLICIES if "teacher" in needs(name)} == {
        "teacher_count",
        "teacher_ratio",
        "fewest",
        "length_matched",
        "miniplm_difference",
    }


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_reads_no_more_than_it_says(name):
    """Without what it does not need it gives the same numbers."""
    full = candidate(
        "a", "TCS", teacher=[(-1.0, 2)] * 3, student=[(-4.0, 3)] * 3, unprompted=[(-6.0, 3)] * 3
    )
    nothing = np.zeros(3, np.int64)
    wanted = needs(name)
    lean = Candidate(
        full.trace_id,
        full.num_chars,
        full.classes if "teacher" in wanted else np.full(3, -1, np.int8),
        full.teacher if "teacher" in wanted else RoleScores(np.full(3, np.nan), nothing),
        RoleScores(
            full.student.sums,
            full.student.tokens,
            full.student.first,
            full.student.ranks if "rank" in wanted else None,
            full.student.briers if "brier" in wanted else None,
        ),
        full.unprompted if "unprompted" in wanted else None,
    )
    (score,) = POLICIES[name]([full])
    assert math.isfinite(score)
    assert POLICIES[name]([lean]) == [score]


def order_of(candidates, policy, **options):
    return [ranked.trace_id for ranked in rank_candidates(candidates, policy, **options)]


def test_largest_score_wins():
    candidates = [candidate("a", "T"), candidate("b", "TTT"), candidate("c", "TTS")]
    assert rank_candidates(candidates, policy_named("teacher_count")) == [
        Ranked("b", 3.0, 1, None),
        Ranked("c", 2.0, 2, "outranked"),
        Ranked("a", 1.0, 3, "outranked"),
    ]
    assert order_of(candidates, policy_named("fewest")) == ["a", "c", "b"]


def test_ties_go_to_fewer_sentences_then_to_the_smaller_trace_id():
    candidates = [
        candidate("a", "TTCCC"),
        candidate("z", "TTC"),
        candidate("y", "TTC"),
        candidate("b", "TT-CC"),
        candidate("0", "TCC"),
    ]
    assert order_of(candidates, policy_named("teacher_count")) == ["y", "z", "a", "b", "0"]


@pytest.mark.parametrize(("per_prompt", "selected"), [(1, 1), (2, 2), (3, 3), (4, 3), (1000, 3)])
def test_per_prompt(per_prompt, selected):
    candidates = [candidate("a", "T"), candidate("b", "T"), candidate("c", "T")]
    ranking = rank_candidates(candidates, policy_named("teacher_count"), per_prompt=per_prompt)
    assert [ranked.selected for ranked in ranking] == [place < selected for place in range(3)]
    assert [ranked.rank for ranked in ranking] == [1, 2, 3]


def test_no_candidates_no_ranks():
    assert rank_candidates([], policy_named("teacher_count")) == []


def scored(**scores):
    """Candidates named by keyword, and the policy that gives them these scores."""
    return (
        [candidate(name, "C") for name in scores],
        lambda group: [scores[one.trace_id] for one in group],
    )


def test_a_single_candidate_is_selected_if_its_score_is_a_number():
    for score, reason in [(-math.inf, None), (0.0, None), (math.nan, "not_choosable")]:
        (only,) = rank_candidates(*scored(a=score))
        assert (only.trace_id, only.rank, only.drop_reason) == ("a", 1, reason)
        assert only.selected == (reason is None)


def test_what_is_not_a_number_ranks_below_everything_and_is_never_selected():
    candidates, policy = scored(nan=math.nan, nam=math.nan, low=-math.inf, top=math.inf, mid=0.0)
    ranking = rank_candidates(candidates, policy, per_prompt=4)
    assert [(one.trace_id, one.drop_reason) for one in ranking] == [
        ("top", None),
        ("mid", None),
        ("low", None),
        ("nam", "not_choosable"),
        ("nan", "not_choosable"),
    ]
    assert math.isnan(ranking[-1].selection_score)  # shown as it is


def test_min_score_is_the_least_that_is_selected():
    candidates, policy = scored(a=3.0, b=2.0, c=1.0, d=math.nan, e=2.5)
    reasons = {
        one.trace_id: one.drop_reason
        for one in rank_candidates(candidates, policy, per_prompt=2, min_score=2.0)
    }
    assert reasons == {
        "a": None,
        "e": None,
        "b": "outranked",  # exactly the least score would do
        "c": "below_min_score",
        "d": "not_choosable",
    }
    none = rank_candidates(candidates, policy, per_prompt=2, min_score=3.5)
    assert not any(one.selected for one in none)
    exact = rank_candidates(candidates, policy, per_prompt=9, min_score=2.0)
    assert [one.trace_id for one in exact if one.selected] == ["a", "e", "b"]


def test_a_policy_gives_one_number_each():
    with pytest.raises(ValueError, match="gave 1 numbers for 2 candidates"):
        rank_candidates([candidate("a", "T"), candidate("b", "T")], lambda _: [1.0])


def test_a_policy_may_give_numbers_of_numpy():
    ranking = rank_candidates([candidate("a", "T"), candidate("b", "T")], lambda _: np.arange(2))
    assert ranking[0] == Ranked("b", 1.0, 1, None)
    assert type(ranking[0].selection_score) is float


def test_two_zeros_are_a_tie():
    candidates, policy = scored(b=0.0, a=-0.0)
    assert order_of(candidates, policy) == ["a", "b"]


def test_any_iterable_of_candidates_will_do():
    assert order_of((candidate(name, "T") for name in "cab"), policy_named("longest")) == [*"abc"]


@st.composite
def prompts(draw):
    """Candidates with distinct ids and few different scores, so that ties are common."""
    ids = draw(
        st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=8, unique=True)
    )
    pairs = st.tuples(st.sampled_from([-2.0, -1.0, 0.0]), st.integers(0, 2))
    return [
        candidate(
            identity,
            draw(st.text("TSC-", max_size=4)),
            num_chars=draw(st.integers(0, 3)),
            teacher=draw(st.lists(pairs, max_size=4)),
            student=draw(st.lists(pairs, max_size=4)),
            unprompted=draw(st.lists(pairs, max_size=4)),
        )
        for identity in ids
    ]


def shown(ranking):
    """Comparable, though NaN is not equal to itself."""
    return [(one.trace_id, repr(one.selection_score), one.rank, one.drop_reason) for one in ranking]


@given(prompts(), st.sampled_from(sorted(POLICIES)), st.integers(1, 4), st.randoms())
def test_the_ranking_does_not_depend_on_the_order_of_the_candidates(
    candidates, name, per_prompt, rng
):
    policy = policy_named(name, seed=3)
    ranking = rank_candidates(candidates, policy, per_prompt=per_prompt)
    shuffled = list(candidates)
    rng.shuffle(shuffled)
    assert shown(rank_candidates(shuffled, policy, per_prompt=per_prompt)) == shown(ranking)


def test_not_even_a_policy_that_adds_up_in_order_depends_on_it():
    scores = {"a": 1e16, "b": 1.0, "c": -1e16}

    def running_sum(group):
        return list(itertools.accumulate(scores[one.trace_id] for one in group))

    rankings = [
        rank_candidates([candidate(name, "C") for name in names], running_sum)
        for names in itertools.permutations("abc")
    ]
    assert all(ranking == rankings[0] for ranking in rankings)


@given(
    prompts(),
    st.sampled_from(sorted(POLICIES)),
    st.integers(1, 4),
    st.none() | st.sampled_from([-1.0, 0.0, 0.5, 1.0]),
)
def test_the_ranking_is_a_permutation_in_the_written_order(candidates, name, per_prompt, min_score):
    policy = policy_named(name)
    ranking = rank_candidates(candidates, policy, per_prompt=per_prompt, min_score=min_score)
    by_id = {one.trace_id: one for one in candidates}
    assert sorted(by_id) == sorted(ranked.trace_id for ranked in ranking)
    assert [ranked.rank for ranked in ranking] == list(range(1, len(candidates) + 1))
    floor = -math.inf if min_score is None else min_score
    choosable = [ranked for ranked in ranking if ranked.selection_score >= floor]
    assert [one for one in ranking if one.selected] == choosable[:per_prompt]
    for better, worse in itertools.pairwise(ranking):
        assert better.selected >= worse.selected
        high, low = better.selection_score, worse.selection_score
        assert high >= low or math.isnan(low)
        if high == low or math.isnan(high):
            one, other = by_id[better.trace_id], by_id[worse.trace_id]
            assert (one.num_sentences, one.trace_id) < (other.num_sentences, other.trace_id)


@given(prompts(), st.sampled_from(sorted(set(POLICIES) - {"lark", "length_matched"})))
def test_one_more_loser_changes_no_winner(candidates, name):
    """Ranks depend on scores alone, so removing the last leaves the others where they are; not so where
    candidates are weighed against each other."""
    ranking = rank_candidates(candidates, policy_named(name))
    rest = [one for one in candidates if not ranking or one.trace_id != ranking[-1].trace_id]
    assert shown(rank_candidates(rest, policy_named(name))) == shown(ranking[:-1])
