"""Every policy against numbers computed token by token in plain Python, and by hand where one can.

A trace is generated as tokens, each with its log-probability, rank and Brier score; the expected values walk
over the tokens, the policies only see the sums per sentence.
"""

import hashlib
import math
import random as stdlib_random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.selection import POLICIES, policy_named

LETTERS = {"T": CODES["TEACHER"], "S": CODES["STUDENT"], "C": CODES["COMMON"], "-": -1}


@dataclass
class Token:
    """One token as one model sees it."""

    logprob: float
    rank: int = 1
    brier: float = 0.0


@dataclass
class Tokens:
    """A trace, token by token: [sentence][token] under each model."""

    trace_id: str
    letters: str
    num_chars: int
    teacher: list[list[Token]]
    student: list[list[Token]]
    unprompted: list[list[Token]] = field(default_factory=list)

    def candidate(self):
        return Candidate(
            self.trace_id,
            self.num_chars,
            np.array([LETTERS[letter] for letter in self.letters], np.int8),
            role_scores(self.teacher),
            role_scores(self.student),
            role_scores(self.unprompted),
        )


def role_scores(sentences):
    def column(value, of=sum):
        return np.array(
            [of([value(token) for token in tokens]) if tokens else math.nan for tokens in sentences]
        )

    return RoleScores(
        sums=column(lambda token: token.logprob),
        tokens=np.array([len(tokens) for tokens in sentences], np.int64),
        first=column(lambda token: token.logprob, of=lambda values: values[0]),
        ranks=column(lambda token: token.rank),
        briers=column(lambda token: token.brier),
    )


def trace(rng, trace_id, *, empty=0.1):
    """Random sentences, some without a token under one of the models."""
    num_sentences = rng.randint(1, 8)

    def tokens():
        if rng.random() < empty:
            return []
        return [
            Token(-rng.expovariate(1.0), rng.randint(1, 100), rng.uniform(0, 2))
            for _ in range(rng.randint(1, 6))
        ]

    return Tokens(
        trace_id,
        "".join(rng.choice("TSC-") for _ in range(num_sentences)),
        rng.randint(1, 400),
        *([tokens() for _ in range(num_sentences)] for _ in range(3)),
    )


def every(sentences):
    return [token for tokens in sentences for token in tokens]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def surprisals(sentences):
    return [-token.logprob for token in every(sentences)]


def expected_scores(name, traces):
    """Each policy once more, over tokens."""
    if name == "lark":
        return expected_lark(traces)
    if name == "length_matched":
        return expected_length_matched(traces)
    return [EXPECTED[name](one) for one in traces]


def expected_rsr(one):
    tokens = every(one.student)
    if not tokens:
        return math.nan
    average_rank = mean(token.rank for token in tokens)
    return -average_rank / mean(surprisals(one.student))


def expected_ifd(one):
    ratio = mean(surprisals(one.student)) / mean(surprisals(one.unprompted))
    return ratio if ratio <= 1 else math.nan


def expected_aslec(one):
    kept = [token.logprob for tokens in one.student for token in tokens[1:]]
    return mean(kept)


def expected_miniplm(one):
    teacher, student = surprisals(one.teacher), surprisals(one.student)
    return (sum(student) - sum(teacher)) / one.num_chars if teacher and student else math.nan


def expected_lark(traces):
    """With the authors' rho, over those candidates that have a token."""
    losses, rhos = {}, {}
    for one in traces:
        tokens = every(one.student)
        if tokens:
            loss = mean(surprisals(one.student))
            losses[one.trace_id] = loss
            rhos[one.trace_id] = mean(token.brier for token in tokens) / loss
    total = sum(losses.values())
    average = sum(rhos[key] * losses[key] for key in losses) / total if total else math.nan
    return [
        losses[one.trace_id] / total * (2 * rhos[one.trace_id] - average)
        if one.trace_id in losses
        else math.nan
        for one in traces
    ]


def expected_length_matched(traces):
    """Distances to the trace with most Teacher sentences; of several the shorter one, then the first."""
    if len(traces) == 1:
        return [0.0]
    first = sorted(traces, key=lambda one: one.trace_id)
    first.sort(key=lambda one: len(one.letters))
    first.sort(key=lambda one: one.letters.count("T"), reverse=True)
    return [
        math.nan if one is first[0] else -abs(one.num_chars - first[0].num_chars) for one in traces
    ]


EXPECTED = {
    "teacher_count": lambda one: one.letters.count("T"),
    "teacher_ratio": lambda one: one.letters.count("T") / len(one.letters),
    "fewest": lambda one: -one.letters.count("T"),
    "longest": lambda one: one.num_chars,
    "shortest": lambda one: -one.num_chars,
    "random": lambda one: (
        int(hashlib.sha256(f"0:{one.trace_id}".encode()).hexdigest()[:12], 16) / 16**12
    ),
    "grape": lambda one: mean(token.logprob for token in every(one.student)),
    "rsr": expected_rsr,
    "ifd": expected_ifd,
    "aslec": expected_aslec,
    "miniplm_difference": expected_miniplm,
}


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("empty", [0.0, 0.1, 0.7])
def test_against_the_same_formula_over_tokens(name, empty):
    rng = stdlib_random.Random(f"{name} {empty}")
    for prompt in range(60):
        traces = [
            trace(rng, f"{prompt}-{place}", empty=empty) for place in range(rng.randint(1, 8))
        ]
        scores = POLICIES[name]([one.candidate() for one in traces])
        assert scores == pytest.approx(expected_scores(name, traces), rel=1e-9, nan_ok=True)
        assert {type(score) for score in scores} == {float}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_the_order_of_the_candidates_does_not_matter(name):
    rng = stdlib_random.Random(5)
    candidates = [trace(rng, f"{place}").candidate() for place in range(20)]
    scores = dict(zip(range(20), POLICIES[name](candidates), strict=True))
    shuffled = rng.sample(range(20), 20)
    again = POLICIES[name]([candidates[place] for place in shuffled])
    np.testing.assert_array_equal(again, [scores[place] for place in shuffled])  # to the last bit


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_no_candidates_no_numbers(name):
    assert list(POLICIES[name]([])) == []


def by_hand(name, *traces):
    return policy_named(name)([one.candidate() for one in traces])


def student_only(trace_id, *sentences, letters=None, num_chars=10, unprompted=()):
    return Tokens(
        trace_id, letters or "C" * len(sentences), num_chars, [], list(sentences), list(unprompted)
    )


def test_rsr_by_hand():
    """Ranks 1 + 3 over 0.5 + 1.5 nats; a sure model divides by the authors' smallest number."""
    two = student_only("a", [Token(-0.5, 1)], [], [Token(-1.5, 3)])
    sure = student_only("b", [Token(0.0, 1), Token(1e-7, 1)])
    assert by_hand("rsr", two, sure) == [-2.0, -2 / 1e-12]


@pytest.mark.parametrize(
    ("with_prompt", "without", "expected"),
    [
        (-1.0, -2.0, 0.5),
        (-2.0, -2.0, 1.0),  # exactly 1 may be chosen
        (-2.0, -1.0, math.nan),  # the prompt makes it less likely
        (-1.0, 0.0, math.nan),
        (0.0, 0.0, math.nan),
        (0.0, -1.0, 0.0),
    ],
)
def test_ifd_by_hand(with_prompt, without, expected):
    one = student_only("a", [Token(with_prompt)], unprompted=[[Token(without)]])
    assert by_hand("ifd", one) == pytest.approx([expected], nan_ok=True)


def test_ifd_compares_means_over_each_readings_own_tokens():
    one = student_only("a", [Token(-1.0), Token(-1.0)], unprompted=[[Token(-2.0)]])
    assert by_hand("ifd", one) == [0.5]


def test_lark_by_hand():
    """L = 1, 3; Brier = 0.5, 0.3; sum L = 4, sum Brier = 0.8, so g = (2 B - 0.2 L) / 4."""
    traces = [student_only("a", [Token(-1.0, 1, 0.5)]), student_only("b", [Token(-3.0, 1, 0.3)])]
    assert by_hand("lark", *traces) == pytest.approx([(1.0 - 0.2) / 4, (0.6 - 0.6) / 4])


def test_lark_weighs_a_candidate_against_the_others():
    one, other = student_only("a", [Token(-1.0, 1, 0.5)]), student_only("b", [Token(-3.0, 1, 0.3)])
    assert by_hand("lark", one)[0] == pytest.approx(0.5)  # alone: (2 B - B) / L
    assert by_hand("lark", one, other)[0] == pytest.approx(0.2)


def test_lark_leaves_out_what_has_no_token_and_gives_up_where_nothing_surprises():
    one, none = student_only("a", [Token(-1.0, 1, 0.5)]), student_only("b", [])
    assert by_hand("lark", one, none) == pytest.approx([0.5, math.nan], nan_ok=True)
    sure = student_only("a", [Token(0.0)])
    assert by_hand("lark", sure, sure) == pytest.approx([math.nan] * 2, nan_ok=True)


def test_aslec_by_hand():
    """Two unlikely openings are left out; a sentence of one token adds nothing; so does one of none."""
    one = student_only(
        "a", [Token(-9.0), Token(-1.0), Token(-2.0)], [Token(-9.0)], [], [Token(-9.0), Token(-3.0)]
    )
    assert by_hand("aslec", one) == [-2.0]
    openings = student_only("b", [Token(-1.0)], [Token(-2.0)])
    assert by_hand("aslec", openings) == pytest.approx([math.nan], nan_ok=True)


def test_length_matched_by_hand():
    """b has most Teacher sentences; d is as long but for 2 characters, c but for 3."""
    traces = [
        student_only("a", [Token(-1.0)], letters="T", num_chars=40),
        student_only("b", [Token(-1.0)], [Token(-1.0)], letters="TT", num_chars=20),
        student_only("c", [Token(-1.0)], letters="C", num_chars=17),
        student_only("d", [Token(-1.0)], letters="C", num_chars=22),
    ]
    assert by_hand("length_matched", *traces) == pytest.approx([-20, math.nan, -3, -2], nan_ok=True)
    assert by_hand("length_matched", traces[0]) == [0.0]  # there is nothing else to keep


def test_teacher_ratio_counts_a_sentence_without_a_class():
    assert by_hand("teacher_ratio", student_only("a", [], [], [], [], letters="TT-C")) == [0.5]


def test_what_no_model_scored_is_not_choosable_by_likelihood():
    nothing = student_only("a", [], [], unprompted=[[], []])
    for name in ("grape", "rsr", "ifd", "lark", "aslec", "miniplm_difference"):
        assert math.isnan(by_hand(name, nothing)[0]), name
    for name in ("teacher_count", "teacher_ratio", "fewest", "longest", "shortest", "random"):
        assert math.isfinite(by_hand(name, nothing)[0]), name


def test_no_zero_is_negative():
    nothing = Tokens("a", "", 0, [], [])
    for name in (
        "teacher_count",
        "teacher_ratio",
        "fewest",
        "longest",
        "shortest",
        "length_matched",
    ):
        assert str(by_hand(name, nothing)[0]) == "0.0", name


@pytest.mark.parametrize(
    ("name", "signal"), [("rsr", "rank"), ("lark", "brier"), ("ifd", "unprompted")]
)
def test_a_missing_signal_is_named(name, signal):
    one = student_only("a", [Token(-1.0)]).candidate()
    bare = RoleScores(one.student.sums, one.student.tokens)
    plain = Candidate(one.trace_id, one.num_chars, one.classes, bare, bare)
    with pytest.raises(ValueError, match=rf"{name}.*{signal}.*models\.student\.signals"):
        POLICIES[name]([plain])


def test_a_missing_first_logprob_is_named():
    one = student_only("a", [Token(-1.0)]).candidate()
    bare = RoleScores(one.student.sums, one.student.tokens)
    plain = Candidate(one.trace_id, one.num_chars, one.classes, bare, bare)
    with pytest.raises(ValueError, match=r"aslec needs .* first token"):
        POLICIES["aslec"]([plain])


@given(st.lists(st.floats(-20, 0), min_size=1, max_size=30), st.integers(1, 29))
def test_likelihood_alone_does_not_depend_on_where_sentences_are_cut(logprobs, cut):
    tokens = [Token(value, 2, 0.5) for value in logprobs]
    whole = student_only("a", tokens)
    halves = student_only("a", tokens[:cut], tokens[cut:])
    for name in ("grape", "rsr", "lark"):
        assert by_hand(name, whole) == pytest.approx(by_hand(name, halves), nan_ok=True)
