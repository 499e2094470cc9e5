"""Every policy against values computed by hand, and the order of candidates that no input order moves."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.selection import (
    POLICIES,
    Candidate,
    Ranked,
    num_teacher,
    policy_named,
    rank_candidates,
)

LETTERS = {"T": CODES["TEACHER"], "S": CODES["STUDENT"], "C": CODES["COMMON"], "-": -1}


def candidate(trace_id, classes, *, num_chars=100, teacher=(), student=()):
    """A candidate from letters, one per sentence, and (sum, tokens) pairs."""
    return Candidate(
        trace_id=trace_id,
        num_chars=num_chars,
        classes=np.array([LETTERS[letter] for letter in classes], np.int8),
        teacher_sums=np.array([total for total, _ in teacher], np.float64),
        teacher_tokens=np.array([count for _, count in teacher], np.int64),
        student_sums=np.array([total for total, _ in student], np.float64),
        student_tokens=np.array([count for _, count in student], np.int64),
    )


MIXED = candidate(
    "mixed",
    "TTSC-",
    num_chars=40,
    teacher=[(-1.0, 2), (-2.0, 4), (-3.0, 3), (-0.5, 1), (math.nan, 0)],
    student=[(-4.0, 2), (-6.0, 3), (-1.0, 4), (-0.5, 1), (math.nan, 0)],
)
EMPTY = candidate("empty", "", num_chars=0)


@pytest.mark.parametrize(
    ("policy", "mixed", "empty"),
    [
        ("teacher_count", 2.0, 0.0),
        ("teacher_ratio", 0.4, 0.0),  # 2 of 5: a sentence without a class is a sentence
        ("fewest", -2.0, 0.0),
        ("longest", 40.0, 0.0),
        ("shortest", -40.0, 0.0),
        ("grape", -11.5 / 10, -math.inf),  # sums over tokens, the null left out
        ("miniplm_difference", (-6.5 - -11.5) / 40, 0.0),  # per character
    ],
)
def test_score_by_hand(policy, mixed, empty):
    assert policy_named(policy)(MIXED) == mixed
    assert policy_named(policy)(EMPTY) == empty
    assert str(policy_named(policy)(EMPTY)) != "-0.0"


def test_a_single_sentence_of_a_single_character():
    one = candidate("one", "T", num_chars=1, teacher=[(-1.0, 1)], student=[(-4.0, 1)])
    assert policy_named("teacher_ratio")(one) == 1.0
    assert policy_named("miniplm_difference")(one) == 3.0


def test_scores_are_plain_floats():
    for name, policy in POLICIES.items():
        assert type(policy(MIXED)) is float, name
        assert type(policy(EMPTY)) is float, name


def test_the_names_are_those_of_the_config():
    assert set(POLICIES) == {
        "teacher_count",
        "teacher_ratio",
        "fewest",
        "longest",
        "shortest",
        "random",
        "grape",
        "miniplm_difference",
    }
    with pytest.raises(KeyError):
        policy_named("best")


def test_num_teacher_counts_only_teacher():
    assert num_teacher(candidate("a", "SSCC--")) == 0
    assert num_teacher(candidate("a", "STCT-T")) == 3


def test_random_is_a_hash_of_seed_and_trace_alone():
    digest = hashlib.sha256(b"7:mixed").hexdigest()
    assert policy_named("random", seed=7)(MIXED) == int(digest[:12], 16) / 16**12
    twin = candidate("mixed", "S", num_chars=1)
    assert policy_named("random", seed=7)(twin) == policy_named("random", seed=7)(MIXED)
    assert policy_named("random", seed=8)(MIXED) != policy_named("random", seed=7)(MIXED)
    assert policy_named("random")(MIXED) == policy_named("random", seed=0)(MIXED)
    assert POLICIES["random"](MIXED) == policy_named("random", seed=0)(MIXED)


def test_random_is_uniform_and_each_seed_picks_anew():
    traces = [candidate(f"{number:032x}", "") for number in range(2000)]
    draws = np.array(
        [[policy_named("random", seed=seed)(trace) for trace in traces] for seed in (0, 1)]
    )
    assert 0 <= draws.min() <= draws.max() < 1
    # 5 standard errors of the mean, of a decile's count, and of a correlation of nothing
    assert np.abs(draws.mean(axis=1) - 0.5).max() < 5 * math.sqrt(1 / 12 / 2000)
    deciles = np.histogram(draws[0], bins=10, range=(0, 1))[0]
    assert np.abs(deciles - 200).max() < 5 * math.sqrt(2000 * 0.1 * 0.9)
    assert abs(np.corrcoef(draws)[0, 1]) < 5 / math.sqrt(2000)


def order_of(candidates, policy, **options):
    return [ranked.trace_id for ranked in rank_candidates(candidates, policy, **options)]


def test_largest_score_wins():
    candidates = [candidate("a", "T"), candidate("b", "TTT"), candidate("c", "TTS")]
    assert rank_candidates(candidates, policy_named("teacher_count")) == [
        Ranked("b", 3.0, 1, True),
        Ranked("c", 2.0, 2, False),
        Ranked("a", 1.0, 3, False),
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


def test_a_single_candidate_is_selected_whatever_its_score():
    for score in (-math.inf, math.nan, 0.0):
        (only,) = rank_candidates([candidate("a", "")], lambda _, score=score: score)
        assert (only.trace_id, only.rank, only.selected) == ("a", 1, True)


def test_what_is_not_a_number_ranks_below_everything():
    scores = {"nan": math.nan, "nam": math.nan, "low": -math.inf, "top": math.inf, "mid": 0.0}
    candidates = [candidate(name, "C") for name in scores]
    ranking = rank_candidates(candidates, lambda one: scores[one.trace_id])
    assert [one.trace_id for one in ranking] == ["top", "mid", "low", "nam", "nan"]
    assert math.isnan(ranking[-1].selection_score)  # shown as it is


def test_two_zeros_are_a_tie():
    scores = {"a": -0.0, "b": 0.0}
    candidates = [candidate("b", "C"), candidate("a", "C")]
    assert order_of(candidates, lambda one: scores[one.trace_id]) == ["a", "b"]


def test_any_iterable_of_candidates_will_do():
    assert order_of((candidate(name, "T") for name in "cab"), policy_named("longest")) == [*"abc"]


@st.composite
def prompts(draw):
    """Candidates with distinct ids and few different scores, so that ties are common."""
    ids = draw(
        st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=8, unique=True)
    )
    pairs = st.tuples(st.sampled_from([-2.0, -1.0, math.nan]), st.integers(0, 2))
    return [
        candidate(
            identity,
            draw(st.text("TSC-", max_size=4)),
            num_chars=draw(st.integers(0, 3)),
            teacher=draw(st.lists(pairs, max_size=4)),
            student=draw(st.lists(pairs, max_size=4)),
        )
        for identity in ids
    ]


@given(prompts(), st.sampled_from(sorted(POLICIES)), st.integers(1, 4), st.randoms())
def test_the_ranking_does_not_depend_on_the_order_of_the_candidates(
    candidates, name, per_prompt, rng
):
    policy = policy_named(name, seed=3)
    ranking = rank_candidates(candidates, policy, per_prompt=per_prompt)
    shuffled = list(candidates)
    rng.shuffle(shuffled)
    assert rank_candidates(shuffled, policy, per_prompt=per_prompt) == ranking


@given(prompts(), st.sampled_from(sorted(POLICIES)), st.integers(1, 4))
def test_the_ranking_is_a_permutation_in_the_written_order(candidates, name, per_prompt):
    policy = policy_named(name)
    ranking = rank_candidates(candidates, policy, per_prompt=per_prompt)
    by_id = {one.trace_id: one for one in candidates}
    assert sorted(by_id) == sorted(ranked.trace_id for ranked in ranking)
    assert [ranked.rank for ranked in ranking] == list(range(1, len(candidates) + 1))
    assert sum(ranked.selected for ranked in ranking) == min(per_prompt, len(candidates))
    for better, worse in itertools.pairwise(ranking):
        assert better.selected >= worse.selected
        one, other = by_id[better.trace_id], by_id[worse.trace_id]
        assert policy(one) >= policy(other)
        if policy(one) == policy(other):
            assert (one.num_sentences, one.trace_id) < (other.num_sentences, other.trace_id)


@given(prompts(), st.sampled_from(sorted(POLICIES)))
def test_one_more_loser_changes_no_winner(candidates, name):
    """Ranks depend on scores alone, so removing the last leaves the others where they are."""
    ranking = rank_candidates(candidates, policy_named(name))
    rest = [one for one in candidates if not ranking or one.trace_id != ranking[-1].trace_id]
    assert rank_candidates(rest, policy_named(name)) == ranking[:-1]
