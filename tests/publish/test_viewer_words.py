from dataclasses import replace

import pytest

from rdpt_ray.method.selection import POLICIES
from rdpt_ray.publish.findings_example import example_prompt
from rdpt_ray.publish.viewer_traces import sample_traces
from rdpt_ray.publish.viewer_words import measured, stratum_words, why
from rdpt_ray.publish.words import REASON_WORDS
from tests.publish.viewer_run import Told, write_run


@pytest.fixture
def told(tmp_path, facts):
    """Candidates -> trace_id -> why."""

    def of(candidates, **changed):
        run = write_run(tmp_path, {"p": candidates})
        (prompt,) = sample_traces(run).prompts
        known = replace(facts, **changed)
        return {trace.trace_id: why(trace, prompt, known) for trace in prompt.traces}

    return of


def test_a_clear_winner(told):
    assert told([Told("TTTC"), Told("TC"), Told("C")]) == {
        "p-0": "Selected: 3 Teacher sentences, first of 3; the next has 1 Teacher sentence.",
        "p-1": "Not selected: 1 Teacher sentence; rank 1 has 3 Teacher sentences.",
        "p-2": "Not selected: 0 Teacher sentences; rank 1 has 3 Teacher sentences.",
    }


def test_a_tie_is_broken_by_fewer_sentences(told):
    assert told([Told("TTCC"), Told("TTC")]) == {
        "p-1": "Selected: 2 Teacher sentences, the same as rank 2."
        " A tie goes to the response with fewer sentences: 3 against 4.",
        "p-0": "Not selected: 2 Teacher sentences, the same as rank 1."
        " A tie goes to the response with fewer sentences: 3 against 4.",
    }


def test_a_tie_is_broken_by_the_trace_id(told):
    assert told([Told("TC", trace_id="b"), Told("CT", trace_id="a")]) == {
        "a": "Selected: 1 Teacher sentence, the same as rank 2."
        " Both have equally many sentences, so the smaller trace_id decides.",
        "b": "Not selected: 1 Teacher sentence, the same as rank 1."
        " Both have equally many sentences, so the smaller trace_id decides.",
    }


def test_alone_or_left_alone(told):
    assert told([Told("T")]) == {"p-0": "Selected: 1 Teacher sentence; the only candidate."}
    dropped = [Told("C", drop_reason="filter: complete"), Told("C", drop_reason="pruned")]
    words = told([Told("TT"), *dropped, Told("C", drop_reason="filter: mine")])
    assert words == {
        "p-0": "Selected: 2 Teacher sentences; the only candidate left.",
        "p-1": f"Not selected: {REASON_WORDS['filter: complete']}.",
        "p-2": f"Not selected: {REASON_WORDS['pruned']}.",
        "p-3": "Not selected: fails a filter that the config sets.",
    }


def test_where_nothing_is_selected_there_is_nothing_to_say(told):
    assert told([Told("T"), Told("C")], policy=None) == {"p-0": "", "p-1": ""}


@pytest.mark.parametrize(
    ("policy", "score", "words"),
    [
        ("teacher_count", 1.0, "1 Teacher sentence"),
        ("fewest", -3.0, "3 Teacher sentences"),
        ("longest", 1234.0, "1,234 characters"),
        ("shortest", -1234.0, "1,234 characters"),
        ("teacher_ratio", 0.4567, "45.7% Teacher sentences"),
        ("random", 0.25, "0.250 in the draw"),
        ("of_tomorrow", -0.123456, "a score of -0.1235"),
        ("grape", None, "no number under the policy"),
        ("grape", float("-inf"), "a score of -inf"),
    ],
)
def test_what_a_policy_looks_at(tmp_path, policy, score, words):
    (prompt,) = sample_traces(write_run(tmp_path, {"p": [Told("T")]})).prompts
    assert measured(replace(prompt.traces[0], selection_score=score), policy) == words


def test_scores_of_fewest_and_shortest_are_negative_counts():
    # What `measured` relies on.
    class Candidate:
        num_teacher, num_chars = 3, 1234

    assert POLICIES["fewest"]([Candidate]) == [-3]
    assert POLICIES["shortest"]([Candidate]) == [-1234]


def test_why_a_prompt_is_shown():
    assert stratum_words("random") == "drawn at random"
    assert stratum_words("dropped: pruned") == "shown because a candidate was dropped as pruned"


def test_the_example_is_a_prompt_with_a_choice_and_different_scores(tmp_path, facts):
    run = write_run(
        tmp_path,
        {
            "a": [Told("TTT")],
            "b": [Told("TT"), Told("CC")],
            "c": [Told("TTSC"), Told("TCC"), Told("C")],
            "d": [Told("TTTTC" * 20), Told("TTC"), Told("TC"), Told("C")],
        },
    )
    traces = sample_traces(run)
    example = example_prompt(traces, facts)
    assert example.text == "The prompt c?"
    assert [(row.rank, row.num_teacher, row.selected) for row in example.rows] == [
        (1, 2, True),
        (2, 1, False),
        (3, 0, False),
    ]
    assert example.rows[0].classes == ("TEACHER", "TEACHER", "STUDENT", "COMMON")
    assert example.trace_id == "c-0"
    assert example_prompt(traces, replace(facts, policy=None)) is None
    assert example_prompt(None, facts) is None
    alone = sample_traces(write_run(tmp_path / "alone", {"a": [Told("T")]}))
    assert example_prompt(alone, facts) is None
