import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.prompt_groups import by_prompt, num_incomplete
from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.selection import rank_candidates

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 3))
def test_the_best_is_that_of_rank_candidates(random_columns, seed, at_least):
    columns = random_columns(seed)
    groups = by_prompt(columns, columns.eligible, at_least=at_least)
    rng = np.random.default_rng(seed)
    scores = rng.choice([np.nan, -1.0, 0.0, 1.0], len(columns))
    best = groups.best(scores[groups.rows], columns.num_sentences[groups.rows])
    given_scores = dict(zip(columns.trace_ids.tolist(), scores.tolist(), strict=True))
    classes = np.full(len(columns.sentence_chars), CODES["COMMON"], np.int8)
    expected = {}
    for prompt in set(columns.prompt_ids[columns.eligible].tolist()):
        rows = np.flatnonzero((columns.prompt_ids == prompt) & columns.eligible)
        if len(rows) >= at_least:
            ranked = rank_candidates(
                [columns.candidate(row, classes) for row in rows],
                lambda group: [given_scores[each.trace_id] for each in group],
            )
            expected[prompt] = ranked[0].trace_id
    found = columns.trace_ids[groups.rows[best]].tolist()
    assert dict(zip(sorted(expected), found, strict=True)) == expected


def test_ties_at_the_top(random_columns):
    columns = random_columns(3)
    groups = by_prompt(columns, np.ones(len(columns), bool), at_least=2)
    assert len(groups.sizes) > 1
    assert groups.tied(np.zeros(len(groups.rows))).all()
    assert not groups.tied(np.arange(len(groups.rows), dtype=float)).any()
    assert groups.sums(np.ones(len(groups.rows), np.int64)).tolist() == groups.sizes.tolist()


def test_prompts_with_an_unread_eligible_candidate(random_columns):
    columns = random_columns(5, prompts=30)
    pairs = zip(
        columns.prompt_ids.tolist(),
        columns.eligible.tolist(),
        columns.teacher_known.tolist(),
        strict=True,
    )
    expected = {prompt for prompt, eligible, known in pairs if eligible and not known}
    assert expected
    assert num_incomplete(columns) == len(expected)
