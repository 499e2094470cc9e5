from dataclasses import replace

import pytest

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.publish import words
from rdpt_ray.storage.drops import REASONS


def test_every_policy_and_divergence_has_words():
    assert words.POLICY_WORDS.keys() == POLICIES.keys()
    assert words.DIFFERENCES.keys() == DIVERGENCES.keys()


def test_reasons_for_other_texts_and_pruning_have_words():
    assert {*REASONS, PRUNED} <= words.REASON_WORDS.keys()


def test_only_known_reasons_are_explained():
    found = words.explained(["outranked", "more for other reasons", "filter: ours", "no such"])
    assert found == [
        ("outranked", "another response to the same prompt ranked higher"),
        ("filter: ours", "fails a filter that the config sets"),
    ]


def test_no_limit_needs_no_words(facts):
    assert words.limits(facts) == []


def test_limits_are_said_in_sentences(facts):
    score, budget = words.limits(replace(facts, min_score=2.0, budget_rows=1_000, budget_tokens=50))
    assert score == "Nothing with a number below 2 under the policy is kept."
    assert "at most 1,000 traces and 50 tokens of the student's tokenizer" in budget
    (rows,) = words.limits(replace(facts, budget_rows=7))
    assert "at most 7 traces:" in rows


def test_one_is_not_many():
    assert [words.counted(number, "trace") for number in (0, 1, 2_000)] == [
        "0 traces",
        "1 trace",
        "2,000 traces",
    ]


@pytest.mark.parametrize("role", ["teacher", "student", "distilled"])
def test_the_three_roles_need_no_words(role):
    assert words.role_words(role) is None


def test_other_roles_are_explained():
    assert "without their prompts" in words.role_words("unprompted")
    assert "traces that name it" in words.role_words("teacher:qwen")


def test_units_of_every_divergence_and_of_one_to_come():
    assert words.unit_of("log_ratio") == "nats per token"
    assert words.unit_of("of_tomorrow") == words.difference_words("of_tomorrow") == "of_tomorrow"
