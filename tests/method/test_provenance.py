"""Hand-computed tables at every boundary, and the laws of the classes.

Probabilities in the tables are sums of powers of two, so their differences are exact and "exactly beta"
means exactly beta.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.provenance import CODES, NAMES, classify, classify_codes, sentence_prob

NAN = math.nan
SWAPPED = {"TEACHER": "STUDENT", "STUDENT": "TEACHER"}

probs = st.floats(0, 1)
eighths = st.integers(0, 8).map(lambda count: count / 8)
"""Coarse, so that ties and exact thresholds are met all the time."""
known_or_not = st.one_of(eighths, probs, st.just(NAN))


def columns(rows):
    """Rows of equal length to float arrays, one per column; None becomes NaN."""
    return [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (0.5, 0.5, "COMMON"),
        (0.75, 0.5, "COMMON"),  # exactly beta apart
        (0.5, 0.75, "COMMON"),
        (0.75 + 2**-20, 0.5, "TEACHER"),  # a hair more
        (0.5, 0.75 + 2**-20, "STUDENT"),
        (1.0, 0.0, "TEACHER"),
        (0.0, 1.0, "STUDENT"),
        (0.0, 0.0, "COMMON"),
        (1.0, 1.0, "COMMON"),
        (NAN, 0.5, None),
        (0.5, NAN, None),
        (NAN, NAN, None),
        (None, 0.5, None),
    ],
)
def test_three_way(teacher, student, expected):
    assert classify([teacher], [student], beta=0.25).tolist() == [expected]


@pytest.mark.parametrize(
    ("teacher", "student", "distilled", "expected"),
    [
        # SHARED: all three within alpha = 1/4, both ends included
        (0.5, 0.5, 0.5, "SHARED"),
        (0.75, 0.5, 0.5, "SHARED"),
        (0.5, 0.75, 0.5, "SHARED"),
        (0.5, 0.5, 0.75, "SHARED"),
        (0.75, 0.5, 0.625, "SHARED"),
        # SHARED comes first: D_TS = 1/4 > beta = 1/8, yet all three are within alpha
        (0.75, 0.5, 0.75, "SHARED"),
        (0.5, 0.75, 0.75, "SHARED"),
        # each of the three differences alone can break it
        (0.75 + 2**-20, 0.5, 0.625, "TEACHER"),  # D_TS
        (0.5, 0.75 + 2**-20, 0.625, "STUDENT"),  # D_TS, the other way
        (0.625, 0.5, 0.75 + 2**-20, "BOOSTED"),  # D_SD; D_TS exactly beta
        (0.5, 0.625, 0.75 + 2**-20, "BOOSTED"),  # D_TD; -D_TS exactly beta
        (0.625 + 2**-20, 0.5, 1.0, "TEACHER"),  # D_TS a hair over beta
        (0.5, 0.625 + 2**-20, 1.0, "STUDENT"),
        (0.5, 0.5, 1.0, "BOOSTED"),
        (0.5, 0.5, 0.0, "BOOSTED"),  # moved down is moved too
        (1.0, 0.0, 0.0, "TEACHER"),  # whatever the distilled model says
        (0.0, 1.0, 1.0, "STUDENT"),
        (NAN, 0.5, 0.5, None),
        (0.5, NAN, 0.5, None),
        (0.5, 0.5, NAN, None),
        (1.0, 0.0, NAN, None),  # not TEACHER: no class without all three
    ],
)
def test_four_way(teacher, student, distilled, expected):
    classes = classify([teacher], [student], [distilled], alpha=0.25, beta=0.125)
    assert classes.tolist() == [expected]


def test_zero_thresholds_leave_only_equality():
    half, more = [0.5] * 3, [0.5, 0.5 + 2**-50, 0.5 - 2**-50]
    assert classify(half, more, beta=0).tolist() == ["COMMON", "STUDENT", "TEACHER"]
    assert classify(half, half, more, alpha=0, beta=0).tolist() == ["SHARED", "BOOSTED", "BOOSTED"]


def test_thresholds_of_one_hide_every_difference():
    assert classify([0.0, 1.0], [1.0, 0.0], beta=1).tolist() == ["COMMON", "COMMON"]
    assert classify([0.0, 1.0], [1.0, 0.0], [0.5, 1.0], alpha=1, beta=1).tolist() == ["SHARED"] * 2


def test_defaults_are_the_papers():
    assert classify([0.65, 0.55], [0.5, 0.5]).tolist() == ["TEACHER", "COMMON"]
    assert classify([0.5, 0.5], [0.5, 0.5], [0.55, 0.65]).tolist() == ["SHARED", "BOOSTED"]
    codes = [classify_codes([0.65, 0.55], [0.5, 0.5]), classify_codes([0.5], [0.5], [0.65])]
    assert [NAMES[code].tolist() for code in codes] == [["TEACHER", "COMMON"], ["BOOSTED"]]


def rules_as_written(teacher, student, distilled, alpha, beta):
    """The design's text, one sentence at a time."""
    if any(math.isnan(prob) for prob in (teacher, student, distilled) if prob is not None):
        return None
    if distilled is not None:
        differences = (student - distilled, teacher - distilled, teacher - student)
        if all(abs(difference) <= alpha for difference in differences):
            return "SHARED"
    if teacher - student > beta:
        return "TEACHER"
    if student - teacher > beta:
        return "STUDENT"
    return "BOOSTED" if distilled is not None else "COMMON"


def test_three_way_is_the_written_rule_on_a_full_grid():
    grid = np.arange(65) / 64
    teacher, student = (axis.ravel() for axis in np.meshgrid(grid, grid))
    for beta in (0.0, 1 / 64, 0.1, 0.5, 1.0):
        expected = [
            rules_as_written(t, s, None, 0.0, beta) for t, s in zip(teacher, student, strict=True)
        ]
        assert classify(teacher, student, beta=beta).tolist() == expected


def test_four_way_is_the_written_rule_on_a_full_grid():
    grid = np.array([*np.arange(9) / 8, NAN])
    axes = [axis.ravel() for axis in np.meshgrid(grid, grid, grid)]
    for alpha in (0.0, 0.125, 0.3):
        for beta in (0.0, 0.125, 0.3):
            expected = [rules_as_written(*row, alpha, beta) for row in zip(*axes, strict=True)]
            assert classify(*axes, alpha=alpha, beta=beta).tolist() == expected


@given(st.lists(st.tuples(known_or_not, known_or_not, known_or_not), max_size=20), eighths, probs)
def test_any_probabilities_follow_the_written_rule(rows, alpha, beta):
    teacher, student, distilled = columns(rows) if rows else (np.empty(0),) * 3
    expected = [rules_as_written(*row, alpha, beta) for row in rows]
    assert classify(teacher, student, distilled, alpha=alpha, beta=beta).tolist() == expected


@given(st.lists(st.tuples(known_or_not, known_or_not, known_or_not), min_size=1), eighths, probs)
def test_every_sentence_has_exactly_one_class_or_is_unknown(rows, alpha, beta):
    teacher, student, distilled = columns(rows)
    codes = classify_codes(teacher, student, distilled, alpha=alpha, beta=beta)
    assert codes.dtype == np.int8
    unknown = np.isnan(teacher + student + distilled)
    four = {CODES[name] for name in ("TEACHER", "STUDENT", "SHARED", "BOOSTED")}
    assert set(codes[~unknown].tolist()) <= four
    assert set(codes[unknown].tolist()) <= {-1}
    three = classify_codes(teacher, student, beta=beta)
    names = {CODES[name] for name in ("TEACHER", "STUDENT", "COMMON")}
    assert set(three[~np.isnan(teacher + student)].tolist()) <= names


@given(st.lists(st.tuples(known_or_not, known_or_not, known_or_not), min_size=1), eighths, probs)
def test_swapping_teacher_and_student_swaps_their_names(rows, alpha, beta):
    teacher, student, distilled = columns(rows)
    for last in (None, distilled):
        one = classify(teacher, student, last, alpha=alpha, beta=beta).tolist()
        other = classify(student, teacher, last, alpha=alpha, beta=beta).tolist()
        assert other == [SWAPPED.get(name, name) for name in one]


@given(st.lists(st.tuples(probs, probs), min_size=1), probs, probs)
def test_a_larger_beta_never_makes_a_teacher_sentence(rows, beta, more):
    teacher, student = columns(rows)
    small, large = sorted((beta, more))
    before = classify(teacher, student, beta=small) == "TEACHER"
    after = classify(teacher, student, beta=large) == "TEACHER"
    assert not np.any(after & ~before)


@given(st.lists(st.tuples(known_or_not, known_or_not), min_size=1), st.randoms())
def test_a_class_depends_on_its_own_sentence_alone(rows, rng):
    order = list(range(len(rows)))
    rng.shuffle(order)
    whole = classify(*columns(rows)).tolist()
    shuffled = classify(*columns([rows[place] for place in order])).tolist()
    assert shuffled == [whole[place] for place in order]


def test_unequal_numbers_of_sentences_are_refused():
    for teacher, student, distilled in [
        ([0.5], [0.1, 0.2], None),  # numpy would stretch this one silently
        ([0.1, 0.2], [0.5], None),
        ([0.1, 0.2], [0.1, 0.2], [0.5]),
        ([0.1, 0.2], [0.1, 0.2, 0.3], None),
        (0.5, [0.5], None),
        ([], [0.5], None),
    ]:
        with pytest.raises(ValueError, match="sentences against"):
            classify(teacher, student, distilled)


def test_no_sentences_no_classes():
    assert classify([], []).tolist() == []
    assert classify([], [], []).tolist() == []


def test_names_are_what_the_tables_hold():
    assert NAMES.tolist() == ["TEACHER", "STUDENT", "SHARED", "BOOSTED", "COMMON", None]
    assert all(NAMES[code] == name for name, code in CODES.items())
    assert NAMES[-1] is None


def test_sentence_prob_by_hand():
    sums = [0.0, math.log(0.25), math.log(0.5) + math.log(0.125), -1e6, -math.inf]
    counts = [3, 1, 2, 1, 4]
    # 1^3; 1/4; sqrt(1/2 * 1/8) = 1/4; e^-1000000; no probability at all
    np.testing.assert_allclose(sentence_prob(sums, counts), [1.0, 0.25, 0.25, 0.0, 0.0], rtol=1e-15)


@pytest.mark.parametrize(
    ("total", "count"), [(NAN, 0), (0.0, 0), (-1.0, 0), (NAN, 2), (None, None)]
)
def test_no_token_no_probability(total, count):
    prob = sentence_prob([total, -1.0], [count, 1])
    assert math.isnan(prob[0])
    assert prob[1] == math.exp(-1)


def test_rounding_above_zero_is_not_a_probability_above_one():
    assert sentence_prob([1e-7, 3.0], [2, 1]).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=40))
def test_sentence_prob_is_the_geometric_mean(logprobs):
    prob = sentence_prob([math.fsum(logprobs)], [len(logprobs)])[0]
    assert prob == pytest.approx(math.exp(math.fsum(logprobs) / len(logprobs)), rel=1e-12)
    assert math.exp(min(logprobs)) * (1 - 1e-12) <= prob <= math.exp(max(logprobs)) * (1 + 1e-12)


@given(st.floats(-100, 0, width=32), st.integers(1, 1000))
def test_sentence_prob_of_a_float32_sum_is_computed_in_float64(total, count):
    prob = sentence_prob(np.array([total], np.float32), np.array([count], np.int32))
    assert prob.dtype == np.float64
    assert prob[0] == pytest.approx(math.exp(total / count), rel=1e-15)


def test_scored_and_classified_together():
    """Two models with different tokenizers: only the mean per token counts."""
    teacher = sentence_prob([math.log(0.5) * 7, math.log(0.9), NAN], [7, 1, 0])
    student = sentence_prob([math.log(0.25) * 3, math.log(0.9) * 5, -1.0], [3, 5, 2])
    assert classify(teacher, student).tolist() == ["TEACHER", "COMMON", None]
