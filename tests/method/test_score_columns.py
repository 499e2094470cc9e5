import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.score_columns import ScoreColumns, concat, take

seeds = st.integers(0, 2**32 - 1)
PROB = DIVERGENCES["prob_difference"]


def equal(left, right):
    """Whether two columns hold the same, NaN being the same as NaN."""
    for field in dataclasses.fields(ScoreColumns):
        if field.name != "roles":
            np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))
    assert left.roles.keys() == right.roles.keys()
    for role in left.roles:
        for field in dataclasses.fields(RoleScores):
            mine, theirs = (getattr(each.roles[role], field.name) for each in (left, right))
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, theirs)


def three_traces(**changes):
    scores = RoleScores(np.log([0.5, 0.9, 0.2, 0.4]), np.array([1, 1, 1, 1]))
    columns = {
        "trace_ids": np.array(["a", "b", "c"]),
        "prompt_ids": np.array(["p", "p", "q"]),
        "num_chars": np.array([30, 0, 40]),
        "correct": np.array([1, 0, -1], np.int8),
        "eligible": np.array([True, True, False]),
        "teacher_known": np.array([True, True, True]),
        "offsets": np.array([0, 3, 3, 4]),
        "sentence_chars": np.array([10, 10, 10, 40]),
        "roles": {
            "teacher": scores,
            "student": RoleScores(np.log([0.1, 0.85, 0.4, np.nan]), np.array([1, 1, 1, 0])),
        },
    }
    return ScoreColumns(**{**columns, **changes})


def test_a_trace_without_a_sentence_sums_to_nothing():
    columns = three_traces()
    assert columns.num_sentences.tolist() == [3, 0, 1]
    assert columns.per_trace(np.array([True, False, True, True])).tolist() == [2, 0, 1]
    assert columns.per_sentence(columns.num_chars).tolist() == [30, 30, 30, 40]


def test_a_candidate_is_a_view_of_its_sentences():
    columns = three_traces()
    classes = columns.classes(PROB, alpha=0.1, beta=0.1)
    first, second, third = (columns.candidate(index, classes) for index in range(3))
    assert (first.trace_id, first.num_chars, first.num_teacher) == ("a", 30, 1)
    assert first.classes.tolist() == [0, 4, 1]
    assert second.num_sentences == 0
    assert third.classes.tolist() == [-1]
    assert np.shares_memory(first.student.sums, columns.roles["student"].sums)
    assert first.unprompted is None


def test_nothing_of_a_teacher_that_stopped_early_is_used():
    columns = three_traces(teacher_known=np.array([False, True, True]))
    assert np.isnan(columns.values("teacher", PROB)).tolist() == [True, True, True, False]
    assert not np.isnan(columns.values("student", PROB)[:3]).any()
    assert columns.classes(PROB, alpha=0.1, beta=0.1).tolist() == [-1] * 4


def test_the_distilled_role_makes_classes_four_way():
    columns = three_traces()
    assert not columns.four_way
    roles = {**columns.roles, "distilled": columns.roles["teacher"]}
    four = dataclasses.replace(columns, roles=roles)
    assert four.four_way
    assert four.classes(PROB, alpha=0.1, beta=0.1).tolist() == [0, 2, 1, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_chars": np.array([1, 2])}, "num_chars 2"),
        ({"offsets": np.array([0, 3, 4])}, "offsets - 1 2"),
        ({"sentence_chars": np.array([1, 2, 3])}, "chars 3"),
        ({"roles": {"student": RoleScores(np.zeros(4), np.ones(4))}}, "teacher"),
        ({"roles": {"student": RoleScores(np.zeros(4), np.ones(3))}}, "student tokens 3"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        three_traces(**changes)


@given(seeds, st.data())
def test_taking_apart_and_putting_together_gives_the_same(random_columns, seed, data):
    columns = random_columns(seed)
    cut = data.draw(st.integers(0, len(columns)))
    parts = [take(columns, range(cut)), take(columns, range(cut, len(columns)))]
    equal(concat(parts), columns)


@given(seeds)
def test_taking_in_another_order_moves_whole_traces(random_columns, seed):
    columns = random_columns(seed)
    order = np.random.default_rng(seed).permutation(len(columns))
    taken = take(columns, order)
    for place, index in enumerate(order):
        classes, moved = (each.classes(PROB, alpha=0.1, beta=0.1) for each in (columns, taken))
        left, right = columns.candidate(index, classes), taken.candidate(place, moved)
        assert left.trace_id == right.trace_id
        np.testing.assert_array_equal(left.classes, right.classes)
        np.testing.assert_array_equal(left.student.ranks, right.student.ranks)


def test_a_signal_that_one_part_lacks_is_left_out(random_columns):
    whole = concat([random_columns(1), random_columns(2, signals=False)])
    assert whole.roles["student"].ranks is None
    assert len(whole.roles["student"].sums) == len(whole.sentence_chars)


def test_parts_of_other_roles_do_not_go_together(random_columns):
    with pytest.raises(ValueError, match="same roles"):
        concat([random_columns(1), random_columns(2, roles=("teacher", "student"))])
    with pytest.raises(ValueError, match="at least one"):
        concat([])
