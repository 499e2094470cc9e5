"""Reading only what the selection depends on selects what reading everything would select."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify_codes
from rdpt_ray.method.pruning import (
    ALONE,
    BOUNDS,
    Contest,
    Half,
    Threshold,
    can_prune,
    next_wave,
    rank_key,
)
from rdpt_ray.method.selection import NEEDS, POLICIES, policy_named, rank_candidates

CASES = 1500
"""Prompts per policy and divergence; the loop below has over ten thousand in all."""


@dataclass
class Drawn:
    """A candidate whose teacher's scores are known to the test alone."""

    trace_id: str
    num_chars: int
    chars: np.ndarray
    student: RoleScores
    teacher: RoleScores
    fails: bool

    def candidate(self, divergence, beta):
        values = [
            divergence.values(each.sums, each.tokens, self.chars)
            for each in (self.teacher, self.student)
        ]
        codes = classify_codes(*values, beta=beta)
        return Candidate(self.trace_id, self.num_chars, codes, self.teacher, self.student)

    def half(self, divergence, num_read):
        read = np.arange(len(self.chars)) < num_read
        hidden = np.where(read, self.teacher.sums, np.nan)
        tokens = np.where(read, self.teacher.tokens, 0)
        return Half(
            divergence.values(self.student.sums, self.student.tokens, self.chars),
            self.student.sums,
            self.num_chars,
            divergence.values(hidden, tokens, self.chars),
            hidden,
            read,
        )


def drawn_scores(rng, num_sentences):
    """Few distinct values, 0 and sentences without a token among them."""
    tokens = rng.integers(0, 4, num_sentences)
    means = rng.choice([0.0, -0.05, -0.1, -0.105, -0.3, -1.0, -3.0], num_sentences)
    sums = np.where(tokens > 0, (means * tokens).astype(np.float32), np.nan)
    return RoleScores(sums.astype(np.float64), tokens, first=sums, ranks=sums, briers=sums)


def drawn_prompt(rng):
    num_sentences = rng.integers(0, 8)  # often the same for all
    prompt = []
    for number in rng.permutation(rng.integers(1, 8)):
        count = int(num_sentences if rng.random() < 0.6 else rng.integers(0, 8))
        chars = rng.integers(1, 9, count)
        student, teacher = drawn_scores(rng, count), drawn_scores(rng, count)
        fails = rng.random() < 0.1
        prompt.append(Drawn(f"t{number}", int(chars.sum()), chars, student, teacher, fails))
    return prompt


def selected_by_waves(prompt, contest, bound, divergence, threshold, rng):
    """trace_ids and keys that the waves come to, giving up after any sentence; and who was read."""
    by_id = {each.trace_id: each for each in prompt}

    def best(each, num_read):
        score = bound(each.half(divergence, num_read), threshold)
        return rank_key(score, len(each.chars), each.trace_id)

    contest.open.update({each.trace_id: best(each, 0) for each in prompt})
    order = []
    while wave := next_wave([contest]):
        order += wave
        settled = {}
        for trace_id in wave:
            each = by_id[trace_id]
            stops = range(1, len(each.chars) + 1)
            asked = [stop for stop in stops if rng.random() < 0.5]
            given_up = any(contest.hopeless(best(each, stop)) for stop in asked)
            settled[trace_id] = None if each.fails or given_up else best(each, len(each.chars))
        for trace_id, key in settled.items():
            contest.settle(trace_id, key)
    assert len(order) == len(set(order)), "nobody is read twice"
    hopeful = [key for key in contest.known if not math.isnan(key[1]) and not key[0]]
    if contest.min_score is not None:
        hopeful = [key for key in hopeful if -key[1] >= contest.min_score]
    return [(key[3], -key[1]) for key in sorted(hopeful)[: contest.per_prompt]], order


@pytest.mark.parametrize("policy", BOUNDS)
@pytest.mark.parametrize("name", DIVERGENCES)
def test_waves_select_what_reading_everything_selects(policy, name):
    rng = np.random.default_rng([len(policy), len(name)])
    divergence, bound = DIVERGENCES[name], BOUNDS[policy]
    num_read = num_candidates = 0
    for _ in range(CASES):
        prompt = drawn_prompt(rng)
        beta = float(rng.choice([0.0, 0.05, 0.1, 0.2, 0.5]))
        per_prompt = int(rng.integers(1, 4))
        min_score = rng.choice([None, None, -1.0, 0.0, 0.5, 2.0])
        ranked = rank_candidates(
            [each.candidate(divergence, beta) for each in prompt if not each.fails],
            policy_named(policy),
            per_prompt=per_prompt,
            min_score=min_score,
        )
        expected = [(each.trace_id, each.selection_score) for each in ranked if each.selected]
        contest = Contest(per_prompt, min_score)
        threshold = Threshold(beta, divergence.highest)
        found, order = selected_by_waves(prompt, contest, bound, divergence, threshold, rng)
        assert found == expected
        num_read += len(order)
        num_candidates += len(prompt)
    assert num_read < 0.95 * num_candidates, "something is saved, or this test shows nothing"


@given(st.integers(0, 2**32), st.sampled_from(list(BOUNDS)), st.sampled_from(list(DIVERGENCES)))
def test_a_bound_never_rises_and_ends_at_the_score(seed, policy, name):
    rng = np.random.default_rng(seed)
    divergence = DIVERGENCES[name]
    beta = float(rng.choice([0.0, 0.1, 0.3]))
    for each in drawn_prompt(rng):
        bounds = [
            BOUNDS[policy](each.half(divergence, num_read), Threshold(beta, divergence.highest))
            for num_read in range(len(each.chars) + 1)
        ]
        score = policy_named(policy)([each.candidate(divergence, beta)])[0]
        np.testing.assert_array_equal(bounds[-1], score)
        known = [bound for bound in bounds if not math.isnan(bound)]
        assert known == sorted(known, reverse=True)


def test_the_bound_of_a_sentence_is_exact_at_the_threshold():
    """1 - 0.9 is a little less than 0.1 in floating point, and p < 1 - beta says otherwise."""
    one = np.ones(1)
    nothing = np.full(1, np.nan)
    for student, beta in ((0.9, 0.1), (0.8, 0.2), (0.7, 0.3), (0.6, 0.4)):
        half = Half(one * student, one, 1, nothing, nothing, np.zeros(1, np.bool_))
        is_teacher = classify_codes(one, one * student, beta=beta)[0] == 0
        assert BOUNDS["teacher_count"](half, Threshold(beta, 1.0)) == float(is_teacher)


def test_of_two_that_can_tie_the_one_that_would_win_the_tie_is_read():
    contest = Contest(1, known=[rank_key(3, 5, "b")])
    contest.open = {
        "a": rank_key(3, 5, "a"),
        "c": rank_key(3, 5, "c"),
        "d": rank_key(3, 6, "a"),
    }
    assert contest.next() == ["a"]


def test_as_many_are_read_together_as_places_are_free():
    contest = Contest(3, open={name: rank_key(1, 1, name) for name in "abcde"})
    assert contest.next() == ["a", "b", "c"]
    for name in "abc":
        contest.settle(name, None if name == "b" else rank_key(1, 1, name))
    assert contest.next() == ["d"]
    contest.settle("d", rank_key(0, 1, "d"))
    assert contest.next() == ["e"]
    contest.settle("e", rank_key(1, 1, "e"))
    assert contest.next() == []


def test_below_min_score_or_without_a_score_nobody_is_read():
    contest = Contest(2, min_score=2.0, open={"a": rank_key(1.9, 1, "a")})
    assert contest.next() == []
    contest = Contest(2, open={"a": rank_key(math.nan, 1, "a"), "b": rank_key(-9, 1, "b")})
    assert contest.next() == ["b"]


def test_each_policy_of_ours_is_bounded_needs_no_teacher_or_is_refused():
    compared = {"lark", "length_matched"}  # they weigh candidates against each other
    assert {name for name in POLICIES if not can_prune(name)} == compared
    bounded = {name for name in POLICIES if "teacher" in NEEDS[name]} - compared
    assert bounded == set(BOUNDS)
    assert not any("teacher" in NEEDS[name] for name in ALONE)
    assert not can_prune("somebody's own")
