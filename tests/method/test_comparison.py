import json
import math
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.comparison import Comparison, compare
from rdpt_ray.method.comparison_figures import length_figures, overlap_matrix, policy_figures
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.score_columns import ScoreColumns, take
from rdpt_ray.method.selection import NEEDS, POLICIES, policy_named, rank_candidates

seeds = st.integers(0, 2**32 - 1)


def split(columns, seed):
    """Whole prompts dealt into three parts."""
    rng = np.random.default_rng(seed)
    part_of = {prompt: int(rng.integers(3)) for prompt in sorted(set(columns.prompt_ids.tolist()))}
    parts = np.array([part_of[prompt] for prompt in columns.prompt_ids.tolist()], dtype=np.int64)
    return [take(columns, np.flatnonzero(parts == part)) for part in range(3)]


def one_prompt():
    """Four candidates of p, by Teacher sentences 2, 1, 1, 0; and one of q, which has no choice.

    chars a 100, b 95, c 300, d 109; only a and d, and a and b, are within 10 % of a.
    """
    letters = ["TTC", "TC", "TCCCC", "C", "T"]
    sentences = "".join(letters)
    ones = np.ones(len(sentences), np.int64)
    student = np.full(len(sentences), 0.2)
    teacher = np.array([0.8 if letter == "T" else 0.25 for letter in sentences])
    return ScoreColumns(
        trace_ids=np.array(list("abcde")),
        prompt_ids=np.array(list("ppppq")),
        num_chars=np.array([100, 95, 300, 109, 50]),
        correct=np.array([1, 0, 1, -1, 1], np.int8),
        eligible=np.ones(5, bool),
        teacher_known=np.ones(5, bool),
        offsets=np.cumsum([0, *map(len, letters)]),
        sentence_chars=10 * ones,
        roles={
            "teacher": RoleScores(np.log(teacher), ones),
            "student": RoleScores(3 * np.log(student), 3 * ones),
        },
    )


def figures_of(comparison, name):
    return next(each for each in policy_figures(comparison) if each.name == name)


def test_by_hand():
    found = compare(one_prompt(), names=["teacher_count", "longest", "shortest", "fewest"])
    assert (found.traces, found.prompts, found.teacher_missing, found.incomplete) == (5, 1, 0, 0)
    best = figures_of(found, "teacher_count")  # a
    assert (best.picks, best.chars, best.sentences, best.tokens) == (1, 100, 3, 9)
    assert (best.teacher, best.teacher_per_sentence) == (2, 2 / 3)
    assert (best.correct, best.graded) == (1, 1)
    assert best.relative_length == pytest.approx(100 / 151)
    # a against b (95) and d (109): 2 - 1 and 2 - 0 Teacher sentences; b is wrong, d not graded.
    assert (best.matched_pairs, best.matched_teacher, best.matched_correct) == (2, 1.5, 1)
    longest = figures_of(found, "longest")  # c, nothing is as long
    assert (longest.chars, longest.teacher, longest.matched_pairs) == (300, 1, 0)
    assert longest.matched_teacher is None
    shortest = figures_of(found, "shortest")  # b, against a only: 109 is 14.7 % more than 95
    assert (shortest.chars, shortest.correct, shortest.matched_pairs) == (95, 0, 1)
    assert (shortest.matched_teacher, shortest.matched_correct) == (-1, -1)
    everyone = policy_figures(found)[-1]
    assert (everyone.picks, everyone.chars, everyone.teacher) == (4, 151, 1)
    assert (everyone.correct, everyone.graded) == (2 / 3, 3)
    assert everyone.relative_length == pytest.approx(1)


def test_overlaps_by_hand():
    found = compare(one_prompt(), names=["teacher_count", "teacher_ratio", "longest"])
    names, shares = overlap_matrix(found)
    assert names == ["longest", "teacher_count", "teacher_ratio"]
    assert shares == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]


def test_correlation_with_length_is_numpys():
    columns = one_prompt()
    teacher, chars = [2, 1, 1, 0, 1], columns.num_chars
    found = length_figures(compare(columns))
    assert found.candidates == 5
    assert found.chars == pytest.approx(np.corrcoef(teacher, chars)[0, 1])
    assert found.sentences == pytest.approx(np.corrcoef(teacher, [3, 2, 5, 1, 1])[0, 1])
    # q has one candidate and says nothing within prompts.
    assert found.chars_within == pytest.approx(np.corrcoef(teacher[:4], chars[:4])[0, 1])


@given(seeds)
def test_correlation_within_prompts_is_that_of_demeaned_values(random_columns, seed):
    columns = random_columns(seed)
    classes = columns.classes(DIVERGENCES["prob_difference"], alpha=0.1, beta=0.1)
    read = columns.eligible & columns.teacher_known
    left, right = [], []
    for prompt in set(columns.prompt_ids.tolist()):
        rows = np.flatnonzero(read & (columns.prompt_ids == prompt))
        teacher = [columns.candidate(row, classes).num_teacher for row in rows]
        left.extend(np.array(teacher) - np.mean(teacher) if teacher else [])
        right.extend(columns.num_chars[rows] - columns.num_chars[rows].mean() if teacher else [])
    found = length_figures(compare(columns, names=[])).chars_within
    norms = math.sqrt(np.dot(left, left) * np.dot(right, right)) if left else 0.0
    if norms < 1e-9:
        assert found is None
    else:
        assert found == pytest.approx(np.dot(left, right) / norms, abs=1e-9)


@given(seeds, st.sampled_from(sorted(POLICIES)))
def test_picks_are_those_of_rank_candidates(random_columns, seed, name):
    columns = random_columns(seed)
    classes = columns.classes(DIVERGENCES["prob_difference"], alpha=0.1, beta=0.1)
    found = compare(columns, names=[name], seed=5).policies[name]
    chars = tokens = right = picks = 0
    for prompt in set(columns.prompt_ids.tolist()):
        rows = np.flatnonzero(columns.eligible & (columns.prompt_ids == prompt))
        if len(rows) < 2:
            continue
        seen = [row for row in rows if columns.teacher_known[row] or "teacher" not in NEEDS[name]]
        group = {columns.trace_ids[row]: row for row in seen}
        ranked = rank_candidates(
            [columns.candidate(row, classes) for row in seen], policy_named(name, seed=5)
        )
        if ranked and ranked[0].selected:
            row = group[ranked[0].trace_id]
            picks += 1
            chars += columns.num_chars[row]
            tokens += columns.candidate(row, classes).num_tokens
            right += columns.correct[row] == 1
    assert (found.picks, found.chars, found.tokens, found.correct) == (picks, chars, tokens, right)
    assert found.correct + found.wrong + found.unknown == picks


@given(seeds)
def test_buckets_add_up(random_columns, seed):
    columns = random_columns(seed)
    parts = [compare(part) for part in split(columns, seed)]
    whole = compare(columns)
    assert reduce(add, parts) == whole
    assert json.dumps(reduce(add, parts[::-1]).to_dict()) == json.dumps(whole.to_dict())


@given(seeds)
def test_json_and_back(random_columns, seed):
    found = compare(random_columns(seed))
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_was_not_measured_is_named(random_columns):
    columns = random_columns(1, roles=("teacher", "student"), signals=False)
    found = compare(columns)
    assert found.left_out.keys() == {"rsr", "ifd", "lark", "aslec"}
    assert "rank" in found.left_out["rsr"]
    assert found.policies.keys() == POLICIES.keys() - found.left_out.keys()


def test_a_policy_left_out_of_one_bucket_is_not_shown(random_columns):
    whole = compare(random_columns(1)) + compare(random_columns(2, signals=False))
    assert {"rsr", "lark", "aslec"} == whole.left_out.keys()
    assert whole.measured == sorted(POLICIES.keys() - whole.left_out.keys())
    names, shares = overlap_matrix(whole)
    assert names == whole.measured
    assert len(shares) == len(names)


def test_unread_candidates_are_not_given_to_policies_that_need_the_teacher():
    columns = one_prompt()
    columns.teacher_known[0] = False
    found = compare(columns, names=["teacher_count", "longest", "shortest"])
    assert (found.teacher_missing, found.incomplete) == (1, 1)
    # Without a, b and c tie with one Teacher sentence each; b has fewer sentences.
    assert figures_of(found, "teacher_count").chars == 95
    shortest = figures_of(found, "shortest")
    assert (shortest.matched_pairs, shortest.matched_teacher) == (1, None)
    assert policy_figures(found)[-1].teacher_per_sentence is None


def test_nothing_at_all(random_columns):
    found = compare(take(random_columns(1), []))
    assert found.prompts == 0
    assert all(figures.chars is None for figures in policy_figures(found))
    assert length_figures(found).chars is None


def test_other_settings_do_not_add_up(random_columns):
    columns = random_columns(1)
    with pytest.raises(ValueError, match="different settings"):
        compare(columns) + compare(columns, seed=1)
