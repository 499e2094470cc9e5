"""The counts of conftest's six traces: t1 TCS, t2 TC, t3 TTCS*, t4 C, t5 SU, t6 TUC* (* selected)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.summary import Point, Summary
from rdpt_ray.publish import findings
from rdpt_ray.publish.findings import ClassShare, Outcome, Position, Reason

NAMES = ("TEACHER", "COMMON", "STUDENT", "UNSCORED")


def test_outcomes_are_the_rows_with_their_reasons(summary):
    assert findings.outcomes(summary) == [
        Outcome("selected", 2),
        Outcome("rejected", 4, (Reason("outranked", 3), Reason("filter: complete", 1))),
        Outcome("quarantined", 3, (Reason("ingest: empty_response", 2), Reason("score: nan", 1))),
    ]


def test_a_run_that_selects_nothing_traces(traced):
    assert [outcome.name for outcome in findings.outcomes(traced, selects=False)] == [
        "traced",
        "rejected",
        "quarantined",
    ]


def test_rows_that_nothing_accounts_for_are_an_outcome_of_their_own(summary):
    summary.rows_read = 11
    assert findings.outcomes(summary)[-1] == Outcome("unaccounted", 2)


@given(
    st.dictionaries(st.text(max_size=5), st.integers(1, 100), max_size=12),
    st.integers(0, 50),
    st.integers(1, 8),
)
def test_reasons_always_add_up(reasons, unexplained, limit):
    total = sum(reasons.values()) + unexplained
    shown = findings.top_reasons(Counter(reasons), total, limit)
    assert sum(reason.count for reason in shown) == total
    assert len(shown) <= limit + (unexplained > 0)


def test_reasons_beyond_the_limit_are_one():
    reasons = Counter({"a": 5, "b": 5, "c": 9, "d": 1, "e": 2})
    assert findings.top_reasons(reasons, 22, 3) == (
        Reason("c", 9),
        Reason("a", 5),
        Reason("more for other reasons", 8),
    )


def test_class_shares_of_all_and_of_selected_traces(summary):
    assert findings.class_shares(summary, "curate") == [
        ClassShare("TEACHER", 5, 3),
        ClassShare("COMMON", 5, 2),
        ClassShare("STUDENT", 3, 1),
        ClassShare("UNSCORED", 2, 1),
    ]


def test_a_class_of_the_other_kind_is_shown_where_it_was_counted(traced):
    assert findings.class_names(traced, "curate") == (*NAMES, "BOOSTED", "SHARED")
    assert findings.class_names(traced, "trace") == (
        "TEACHER",
        "BOOSTED",
        "SHARED",
        "STUDENT",
        "UNSCORED",
    )


def test_positions_end_where_fewer_than_five_traces_are_left(summary):
    # The third position has three traces: t1, t3 and t6.
    assert findings.positions(summary, NAMES) == [
        Position(1, (4, 1, 1, 0)),
        Position(2, (1, 2, 0, 2)),
    ]
    assert [position.reach for position in findings.positions(summary, NAMES)] == [6, 5]


def test_positions_end_where_fewer_than_five_percent_of_the_traces_are_left():
    summary = Summary(positions={"TEACHER": [200, 10, 9], "COMMON": [0, 0, 0, 8]})
    assert [position.counts for position in findings.positions(summary, NAMES)] == [
        (200, 0, 0, 0),
        (10, 0, 0, 0),
    ]


def test_means_per_trace(summary):
    assert findings.num_scored(summary) == 6
    assert findings.teacher_per_trace(summary) == (1.5, pytest.approx(5 / 6))
    assert findings.sentences_per_trace(summary) == (3.5, 2.5)


def test_nothing_to_average_is_none():
    assert findings.num_scored(Summary()) == 0
    assert findings.teacher_per_trace(Summary()) == (None, None)
    assert findings.sentences_per_trace(Summary()) == (None, None)
    assert findings.positions(Summary(), NAMES) == []


def test_correlation_by_hand(summary):
    # Teacher 1 1 2 0 0 1 against sentences 3 2 4 1 2 3: Sxy 3.5, Sxx 17/6, Syy 5.5.
    by_sentences, by_chars = findings.length_correlations(summary.points)
    assert by_sentences == pytest.approx(3.5 / (17 / 6 * 5.5) ** 0.5)
    # All the fixture's sentences are 17 characters long.
    assert by_chars == pytest.approx(by_sentences)


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0] * 3)]
)
def test_no_correlation_of_what_does_not_vary(first, second):
    assert findings.correlation(first, second) is None


def test_all_traces_alike_have_no_correlation():
    points = [Point(str(number), 10, 1, 0, False) for number in range(5)]
    assert findings.length_correlations(points) == (None, None)
