import json
from collections import Counter
from functools import reduce
from operator import add

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method import correctness
from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.correctness import LETTERS, SAMPLE, Correctness, count_correctness
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.score_columns import ScoreColumns, take

seeds = st.integers(0, 2**32 - 1)


def columns_of(letters, correct, trace_ids=None, known=None, prompts=None):
    """Traces whose sentences have these classes: T, S or C."""
    sentences = "".join(letters)
    ones = np.ones(len(sentences), np.int64)
    traces = len(letters)
    teacher = [{"T": 0.9, "S": 0.1, "C": 0.5}[letter] for letter in sentences]
    return ScoreColumns(
        trace_ids=np.array(trace_ids or [f"t{index:06d}" for index in range(traces)]),
        prompt_ids=np.array(prompts or ["p"] * traces),
        num_chars=np.ones(traces, np.int64),
        correct=np.array(correct, np.int8),
        eligible=np.zeros(traces, bool),
        teacher_known=np.ones(traces, bool) if known is None else np.array(known),
        offsets=np.cumsum([0, *map(len, letters)]),
        sentence_chars=ones,
        roles={
            "teacher": RoleScores(np.log(np.array(teacher)), ones),
            "student": RoleScores(np.log(np.full(len(sentences), 0.5)), ones),
        },
    )


def test_by_hand():
    columns = columns_of(
        ["TC", "T", "SCT", "CC", "TT"], [1, 1, 0, -1, 0], known=[True, True, True, True, False]
    )
    found = count_correctness(columns)
    assert (found.ungraded, found.teacher_missing, found.traces) == (1, 1, (1, 2))
    assert found.reach[:, :4].tolist() == [[1, 1, 1, 0], [2, 1, 0, 0]]
    assert found.counts[1, CODES["TEACHER"], :3].tolist() == [2, 0, 0]
    assert found.counts[0, CODES["TEACHER"], :3].tolist() == [0, 0, 1]
    assert found.counts[0, CODES["COMMON"], :3].tolist() == [0, 1, 0]
    assert found.sample == {"p": (("SCT",), ("TC", "T"))}
    assert found.prompts == 1


def test_letters_follow_the_codes():
    assert [LETTERS[CODES[name]] for name in CODES] == list("TSHBC")
    assert LETTERS[-1] == "-"


@given(seeds, st.sampled_from([("teacher", "student"), ("teacher", "student", "distilled")]))
def test_counts_are_the_slow_loop(random_columns, seed, roles):
    columns = random_columns(seed, roles=roles)
    classes = columns.classes(DIVERGENCES["prob_difference"], alpha=0.1, beta=0.1)
    expected, letters = Counter(), {}
    for index in np.argsort(columns.trace_ids):
        group = int(columns.correct[index])
        if group < 0 or not columns.teacher_known[index]:
            continue
        codes = columns.candidate(index, classes).classes.tolist()
        expected.update((group, code, place) for place, code in enumerate(codes))
        if codes:
            text = "".join(LETTERS[code] for code in codes)
            letters.setdefault(columns.prompt_ids[index], ([], []))[group].append(text)
    found = count_correctness(columns)
    assert found.sample == {p: (tuple(w), tuple(r)) for p, (w, r) in letters.items()}
    assert found.prompts == len(letters)
    assert found.counts.sum() == expected.total()
    for (group, code, place), count in expected.items():
        assert found.counts[group, code, place] == count


@given(seeds, st.integers(1, 5))
def test_any_split_adds_up(random_columns, seed, kept):
    columns = random_columns(seed)
    # As buckets do: all candidates of a prompt in one of them.
    _, prompt_of = np.unique(columns.prompt_ids, return_inverse=True)
    part_of = np.random.default_rng(seed).integers(0, 3, len(columns))[prompt_of]
    whole_sample = correctness.SAMPLE
    correctness.SAMPLE = kept
    try:
        parts = [
            count_correctness(take(columns, np.flatnonzero(part_of == part))) for part in range(3)
        ]
        whole = count_correctness(columns)
        assert json.dumps(reduce(add, parts).to_dict()) == json.dumps(whole.to_dict())
        assert json.dumps(reduce(add, parts[::-1]).to_dict()) == json.dumps(whole.to_dict())
    finally:
        correctness.SAMPLE = whole_sample


@given(seeds)
def test_json_and_back(random_columns, seed):
    found = count_correctness(random_columns(seed))
    again = Correctness.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.counts, found.counts)
    assert again.to_dict() == found.to_dict()


def test_the_sample_is_whole_prompts_with_the_smallest_ids(monkeypatch):
    monkeypatch.setattr(correctness, "SAMPLE", 4)
    prompts = ["c", "a", "b", "a", "b", "b", "d"]
    found = count_correctness(columns_of(["T"] * 7, [1, 1, 0, 0, 1, 1, 1], prompts=prompts))
    # a has two traces and b three: b completes the four.
    assert found.sample == {"a": (("T",), ("T",)), "b": (("T",), ("T", "T"))}
    assert (found.prompts, found.traces) == (4, (2, 5))


def test_the_sample_of_one_large_prompt_is_bounded():
    count = SAMPLE + 10
    found = count_correctness(columns_of(["T"] * count, [1] * count))
    assert found.sample == {"p": ((), ("T",) * SAMPLE)}
    assert found.traces == (0, count)


def test_a_manifest_from_before_prompts_were_kept_is_read():
    found = count_correctness(columns_of(["TC", "T", "S"], [1, 1, 0]))
    old = found.to_dict()
    del old["prompts"]
    old["sample"] = [{"t2": "S"}, {"t0": "TC", "t1": "T"}]
    again = Correctness.from_dict(json.loads(json.dumps(old)))
    assert again.prompts == 3
    assert again.sample == {"t2": (("S",), ()), "t0": ((), ("TC",)), "t1": ((), ("T",))}


def test_late_positions_are_cut():
    found = count_correctness(columns_of(["T" * 250, "S" * 250], [1, 0]))
    assert found.counts.shape == (2, 6, 200)
    assert found.counts.sum() == 400
    assert [len(text) for texts in found.sample["p"] for text in texts] == [200, 200]
