import json
from collections import Counter
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import NAMES, classify_codes
from rdpt_ray.method.score_columns import ScoreColumns, take
from rdpt_ray.method.selection import rank_candidates, teacher_count
from rdpt_ray.method.sensitivity import Sensitivity, beta_grid, near_within, sweep

seeds = st.integers(0, 2**32 - 1)
ROLES = st.sampled_from([("teacher", "student"), ("teacher", "student", "distilled")])


def by_prompt_split(columns, rng):
    """Whole prompts dealt into three parts."""
    part_of = {prompt: int(rng.integers(3)) for prompt in sorted(set(columns.prompt_ids.tolist()))}
    parts = np.array([part_of[prompt] for prompt in columns.prompt_ids.tolist()], dtype=np.int64)
    return [take(columns, np.flatnonzero(parts == part)) for part in range(3)]


def slow(columns, name, alpha, beta, own):
    """One row, trace by trace, with the functions that a run uses."""
    ways = DIVERGENCES[name]
    classes, near, traces = Counter(), 0, {}
    for index in range(len(columns)):
        if not columns.teacher_known[index]:
            continue
        span = slice(columns.offsets[index], columns.offsets[index + 1])
        values = {
            role: ways.values(scores.sums[span], scores.tokens[span], columns.sentence_chars[span])
            for role, scores in columns.roles.items()
        }
        gaps = values["teacher"] - values["student"]
        codes = {
            each: classify_codes(
                values["teacher"],
                values["student"],
                values.get("distilled"),
                alpha=alpha,
                beta=each,
            )
            for each in (beta, own)
        }
        traces[index] = codes
        classes.update(str(NAMES[code]) for code in codes[beta] if code >= 0)
        near += sum(
            abs(abs(gap) - beta) <= near_within(name)
            for gap, code in zip(gaps, codes[beta], strict=True)
            if code >= 0
        )
    prompts = same = tied = 0
    for prompt in set(columns.prompt_ids.tolist()):
        rows = [row for row in traces if columns.prompt_ids[row] == prompt]
        rows = [row for row in rows if columns.eligible[row]]
        if len(rows) < 2:
            continue
        prompts += 1
        whole = np.zeros(len(columns.sentence_chars), np.int8)
        ranked = {}
        for each in (beta, own):
            for row in rows:
                whole[columns.offsets[row] : columns.offsets[row + 1]] = traces[row][each]
            group = [columns.candidate(row, whole.copy()) for row in rows]
            ranked[each] = rank_candidates(group, teacher_count)
        same += ranked[beta][0].trace_id == ranked[own][0].trace_id
        tied += ranked[beta][0].selection_score == ranked[beta][1].selection_score
    return prompts, dict(classes), near, same, tied


@given(seeds, ROLES, st.sampled_from(sorted(DIVERGENCES)), st.sampled_from([0.1, 0.07]))
def test_the_sweep_is_the_slow_loop(random_columns, seed, roles, name, beta):
    columns = random_columns(seed, roles=roles)
    found = sweep(columns, divergence=name, alpha=0.15, beta=beta)
    for row in found.rows:
        expected = slow(columns, name, 0.15, row.beta, beta)
        assert (found.prompts, row.classes, row.near, row.same_pick, row.tied) == expected


@given(seeds, ROLES)
def test_buckets_add_up(random_columns, seed, roles):
    columns = random_columns(seed, roles=roles)
    parts = by_prompt_split(columns, np.random.default_rng(seed))
    swept = [sweep(part) for part in parts]
    whole = sweep(columns)
    assert reduce(add, swept) == whole
    assert json.dumps(reduce(add, swept[::-1]).to_dict()) == json.dumps(whole.to_dict())


@given(seeds)
def test_json_and_back(random_columns, seed):
    found = sweep(random_columns(seed))
    assert Sensitivity.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_by_hand():
    # |p_T - p_S|: a .4, .05; b .15, .11; the third trace was pruned.
    teacher, student = [0.5, 0.55, 0.25, 0.41, 0.9], [0.1, 0.5, 0.1, 0.3, 0.1]
    ones = np.ones(5, np.int64)
    columns = ScoreColumns(
        trace_ids=np.array(["a", "b", "c"]),
        prompt_ids=np.array(["p", "p", "p"]),
        num_chars=np.array([20, 20, 10]),
        correct=np.array([1, 1, 1], np.int8),
        eligible=np.ones(3, bool),
        teacher_known=np.array([True, True, False]),
        offsets=np.array([0, 2, 4, 5]),
        sentence_chars=10 * ones,
        roles={
            "teacher": RoleScores(np.log(teacher), ones),
            "student": RoleScores(np.log(student), ones),
        },
    )
    found = sweep(columns, betas=[0.01, 0.12, 0.3])
    assert (found.traces, found.teacher_missing, found.prompts, found.incomplete) == (3, 1, 1, 1)
    rows = [(row.beta, row.classes, row.near, row.same_pick, row.tied) for row in found.rows]
    assert rows == [
        (0.01, {"TEACHER": 4}, 0, 0, 1),  # 2 : 2, so a, the smaller id
        (0.1, {"TEACHER": 3, "COMMON": 1}, 1, 1, 0),  # 1 : 2, so b
        (0.12, {"TEACHER": 2, "COMMON": 2}, 1, 0, 1),  # 1 : 1, so a
        (0.3, {"TEACHER": 1, "COMMON": 3}, 0, 0, 0),  # 1 : 0, so a
    ]
    own = found.rows[1]
    assert found.class_share(own, "TEACHER") == 0.75
    assert found.near_share(own) == 0.25
    assert found.same_pick_share(own) == 1
    assert found.tied_share(own) == 0


def test_grids():
    paper = (0.01, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)
    assert beta_grid("prob_difference", 0.1) == paper
    assert beta_grid("prob_difference", 0.14) == tuple(sorted((*paper, 0.14)))
    assert beta_grid("log_ratio", 0.2) == (0.02, 0.04, 0.1, 0.16, 0.2, 0.24, 0.3, 0.4, 0.6)
    assert near_within("prob_difference") == 0.02
    assert near_within("log_ratio_per_char") == 0.01


def test_nothing_at_all(random_columns):
    found = sweep(take(random_columns(1), []))
    assert (found.traces, found.prompts, found.rows[0].classes) == (0, 0, {})
    assert found.same_pick_share(found.rows[0]) is None
    assert found.near_share(found.rows[0]) is None


def test_other_settings_do_not_add_up(random_columns):
    columns = random_columns(1)
    with pytest.raises(ValueError, match="different settings"):
        sweep(columns) + sweep(columns, beta=0.12)
